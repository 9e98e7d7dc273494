//! `migrate` and `migrate status`.

use tbx_service::Config;
use tbx_service::config::DatabaseUrl;
use tbx_store::sqlite::{Database, MESSAGING};
use tbx_store::students::sqlite::MIGRATIONS;

use crate::embedded::{OpenHistory, Storage, options};
use crate::exit::Failure;

/// Brings the databases up to date.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let storage = Storage::open(config).await?;
    let history = OpenHistory::open(config).await?;
    history.close().await;
    storage.database.close().await;
    println!("The databases are up to date.");
    Ok(())
}

/// Tells which steps are applied. Changes nothing and creates nothing.
pub(crate) async fn status(config: &Config) -> Result<(), Failure> {
    let DatabaseUrl::Sqlite(path) = &config.database_url;
    if !path.exists() {
        let path = path.display();
        return Err(Failure::failed_because(format!("there is no {path}; run `tbx migrate` to create it")));
    }
    let options = options(config).with_create(false);
    let database = Database::connect(&options).await.map_err(|error| Failure::failed(&error))?;
    let mut missing = 0;
    for set in [MESSAGING, MIGRATIONS] {
        let steps = set.status(database.writer()).await.map_err(|error| Failure::failed(&error))?;
        for (name, applied) in steps {
            println!("{:<26} {name:<12} {}", set.table, if applied { "applied" } else { "missing" });
            missing += usize::from(!applied);
        }
    }
    database.close().await;
    if missing == 0 {
        Ok(())
    } else {
        Err(Failure::failed_because("run `tbx migrate` to apply what is missing"))
    }
}
