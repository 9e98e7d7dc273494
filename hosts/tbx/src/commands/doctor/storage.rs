//! The files: is each there, whose is it, can it be read, is it up to date?

use std::path::Path;

use tbx_notify::history::{History as _, Retention, SqliteHistory};
use tbx_service::config::{DatabaseUrl, HistoryUrl};
use tbx_service::{Config, chain};
use tbx_store::StoreError;
use tbx_store::sqlite::{MESSAGING, Visit};
use tbx_store::students::sqlite::MIGRATIONS;

use super::{Finding, servers};

/// Also tells whether a process owns the database now: then it may hold the ports too.
pub(super) async fn database(config: &Config) -> (Finding, bool) {
    const NAME: &str = "database";
    let path = match &config.database_url {
        DatabaseUrl::Sqlite(path) => path,
        DatabaseUrl::Postgres(url) => return (servers::database(url).await, false),
    };
    if !path.exists() {
        return (not_there(NAME, path), false);
    }
    let shown = path.display();
    let looked = async { Ok::<_, StoreError>((Visit::finds_owner(path)?, look(path).await?)) };
    match looked.await {
        Err(error) => {
            (Finding::fail(NAME, chain(&error), "make sure it is a database file this user can read"), false)
        }
        Ok((owned, Look { missing, journal_mode })) => {
            let owner = if owned { "owned by a running process" } else { "owned by nobody" };
            let finding = if missing > 0 {
                let detail = format!("{shown}, {owner}, {missing} steps of its schema are missing");
                Finding::warn(NAME, detail, "run `tbx migrate`; a start does it too")
            } else if journal_mode != "wal" {
                let detail = format!("{shown}, {owner}, its journal is kept as {journal_mode}");
                Finding::warn(NAME, detail, "nothing: the next start of tbx changes it to wal")
            } else {
                Finding::ok(NAME, format!("{shown}, {owner}, schema up to date, journal {journal_mode}"))
            };
            (finding, owned)
        }
    }
}

struct Look {
    missing: usize,
    journal_mode: String,
}

async fn look(path: &Path) -> Result<Look, StoreError> {
    let visit = Visit::to(path).await?;
    let journal_mode = visit.journal_mode().await?;
    let mut missing = 0;
    for set in [MESSAGING, MIGRATIONS] {
        missing += set.status(visit.pool()).await?.iter().filter(|(_, applied)| !applied).count();
    }
    visit.close().await;
    Ok(Look { missing, journal_mode })
}

pub(super) async fn history(config: &Config) -> Finding {
    const NAME: &str = "history";
    let path = match &config.history_url {
        HistoryUrl::Sqlite(path) => path,
        HistoryUrl::Redis(url) => return servers::history(url).await,
        HistoryUrl::Memory => {
            return Finding::warn(
                NAME,
                "kept in memory, so clients cannot resume over a restart",
                "set TBX_HISTORY_URL to sqlite:PATH to keep it",
            );
        }
    };
    if !path.exists() {
        return not_there(NAME, path);
    }
    let shown = path.display();
    match Visit::finds_owner(path) {
        Err(error) => return Finding::fail(NAME, chain(&error), "make sure this user can read it"),
        Ok(true) => {
            return Finding::ok(
                NAME,
                format!("{shown}, owned by a running process, whose /metrics tells its bounds"),
            );
        }
        Ok(false) => {}
    }
    let retention = Retention { max_count: config.history_max_count, max_age: config.history_max_age };
    match SqliteHistory::open(path, retention).await {
        Err(error) => Finding::fail(
            NAME,
            chain(&error),
            "restore it from a backup, or move it away: clients then start anew",
        ),
        Ok(history) => {
            let bounds = history.bounds();
            history.close().await;
            let held = match (bounds.newest + 1).saturating_sub(bounds.oldest) {
                0 => "no notifications".to_owned(),
                kept => format!("{kept} notifications, from {} to {}", bounds.oldest, bounds.newest),
            };
            Finding::ok(NAME, format!("{shown}, {held}"))
        }
    }
}

/// A first start creates the file, if it can.
fn not_there(name: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().skip(1).find(|ancestor| ancestor.exists());
    match existing.and_then(|folder| Some((folder, folder.metadata().ok()?))) {
        Some((_, about)) if about.is_dir() && !about.permissions().readonly() => {
            Finding::ok(name, format!("there is no {shown} yet; the first start creates it"))
        }
        Some((folder, _)) => Finding::fail(
            name,
            format!("there is no {shown}, and {} is no folder that can be written to", folder.display()),
            "make it one, or configure another place",
        ),
        None => Finding::fail(
            name,
            format!("{shown} lies in no folder that can be seen"),
            "configure another place",
        ),
    }
}
