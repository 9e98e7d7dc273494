//! `dead-letters`: what was given up, and what to do about it.

mod decide;
mod render;

use std::io::{ErrorKind, Write as _};

use tbx_backends::{LetterId, Letters};
use tbx_service::config::DatabaseUrl;
use tbx_service::{Config, Failure};

/// What to do, and how to tell of it.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    pub(crate) action: Action,
    /// For programs.
    pub(crate) json: bool,
}

#[derive(Debug)]
pub(crate) enum Action {
    List,
    Show(LetterId),
    Replay(Which),
    Drop(Vec<LetterId>),
}

#[derive(Debug)]
pub(crate) enum Which {
    All,
    These(Vec<LetterId>),
}

pub(crate) async fn run(config: &Config, DeadLetters { action, json }: DeadLetters) -> Result<(), Failure> {
    if let DatabaseUrl::Sqlite(path) = &config.database_url
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::failed_because(format!("there is no {path}; there are no dead letters")));
    }
    match action {
        Action::List => list(config, json).await,
        Action::Show(id) => show(config, &id, json).await,
        Action::Replay(which) => decide::replay(config, which, json).await,
        Action::Drop(ids) => decide::drop_for_good(config, ids, json).await,
    }
}

async fn list(config: &Config, json: bool) -> Result<(), Failure> {
    let letters = Letters::to_look_at(config).await.map_err(|error| Failure::failed(&error))?;
    let listed = letters.list().await;
    letters.close().await;
    let listed = listed.map_err(|error| Failure::failed(&error))?;
    print(&if json { render::list_as_json(&listed) } else { render::table(&listed) })
}

async fn show(config: &Config, id: &LetterId, json: bool) -> Result<(), Failure> {
    let letters = Letters::to_look_at(config).await.map_err(|error| Failure::failed(&error))?;
    let found = letters.find(id).await;
    letters.close().await;
    let letter = found
        .map_err(|error| Failure::failed(&error))?
        .ok_or_else(|| Failure::failed_because(format!("there is no dead letter {id}")))?;
    print(&if json { render::one_as_json(&letter) } else { render::one(&letter) })
}

/// A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::failed(&error)),
        _ => Ok(()),
    }
}
