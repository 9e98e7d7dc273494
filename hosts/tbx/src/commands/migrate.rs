//! `migrate` and `migrate status`.

use tbx_backends::{OpenHistory, Storage};
use tbx_service::config::{DatabaseUrl, HistoryUrl};
use tbx_service::{Config, Failure, tell};

/// Brings the databases up to date. Beside a database that processes share, a history in a file is a notifier's, which migrates it at its start and
/// owns it meanwhile.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let storage = Storage::open(config, "tbx migrate").await?;
    let told = match (&config.database_url, &config.history_url) {
        (DatabaseUrl::Sqlite(_), HistoryUrl::Sqlite(_)) => {
            OpenHistory::open(config).await?.close().await;
            "The databases are up to date."
        }
        (DatabaseUrl::Postgres(_), HistoryUrl::Sqlite(_)) => {
            "The database is up to date. Each notifier migrates its own history when it starts."
        }
        _ => "The database is up to date.",
    };
    storage.close().await;
    tell(told);
    Ok(())
}

/// Tells which steps are applied. Changes nothing and creates nothing.
pub(crate) async fn status(config: &Config) -> Result<(), Failure> {
    if let DatabaseUrl::Sqlite(path) = &config.database_url
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::failed_because(format!("there is no {path}; run `tbx migrate` to create it")));
    }
    let steps = Storage::migrations(config).await?;
    for step in &steps {
        let state = if step.applied { "applied" } else { "missing" };
        tell(format_args!("{:<26} {:<12} {state}", step.set, step.name));
    }
    if steps.iter().all(|step| step.applied) {
        Ok(())
    } else {
        Err(Failure::failed_because("run `tbx migrate` to apply what is missing"))
    }
}
