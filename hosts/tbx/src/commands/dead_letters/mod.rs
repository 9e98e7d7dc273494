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
    /// Whose letters, unless all that are known.
    pub(crate) group: Option<String>,
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

pub(crate) async fn run(config: &Config, wanted: DeadLetters) -> Result<(), Failure> {
    let DeadLetters { action, group, json } = wanted;
    let letters = match group {
        Some(group) => Letters::of_group(config, &group).await?,
        None => of_all(config, &action).await?,
    };
    match action {
        Action::List => list(letters, json).await,
        Action::Show(id) => show(letters, &id, json).await,
        Action::Replay(which) => decide::replay(letters, which, json).await,
        Action::Drop(ids) => decide::drop_for_good(letters, ids, json).await,
    }
}

async fn of_all(config: &Config, action: &Action) -> Result<Letters, Failure> {
    if let DatabaseUrl::Sqlite(path) = &config.database_url
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::failed_because(format!("there is no {path}; there are no dead letters")));
    }
    Ok(match action {
        Action::List | Action::Show(_) => Letters::to_look_at(config).await?,
        Action::Replay(_) | Action::Drop(_) => Letters::to_decide_about(config).await?,
    })
}

async fn list(letters: Letters, json: bool) -> Result<(), Failure> {
    let listed = letters.list().await;
    letters.close().await;
    let listed = listed.map_err(|error| Failure::failed(&error))?;
    print(&if json { render::list_as_json(&listed) } else { render::table(&listed) })
}

async fn show(letters: Letters, id: &LetterId, json: bool) -> Result<(), Failure> {
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
