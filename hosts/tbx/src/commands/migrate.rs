//! `migrate` and `migrate status`.

use tbx_backends::{OpenHistory, Storage};
use tbx_service::config::DatabaseUrl;
use tbx_service::{Config, Failure, tell};

/// Brings the databases up to date.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let storage = Storage::open(config, "tbx migrate").await.map_err(|error| Failure::failed(&error))?;
    let history = OpenHistory::open(config).await.map_err(|error| Failure::failed(&error))?;
    history.close().await;
    storage.close().await;
    tell("The databases are up to date.");
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
    let steps = Storage::migrations(config).await.map_err(|error| Failure::failed(&error))?;
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
