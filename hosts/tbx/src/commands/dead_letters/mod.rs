//! `dead-letters`: what was given up, and what to do about it.

mod decide;
mod render;

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use tbx_service::Config;
use tbx_service::config::DatabaseUrl;
use tbx_store::sqlite::{DeadLetterOffice, FiledLetter, Visit};

use crate::exit::Failure;

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
    Show(i64),
    Replay(Which),
    Drop(Vec<i64>),
}

#[derive(Debug)]
pub(crate) enum Which {
    All,
    These(Vec<i64>),
}

/// Letters are read in pieces of this many.
const PIECE: u32 = 500;

pub(crate) async fn run(config: &Config, DeadLetters { action, json }: DeadLetters) -> Result<(), Failure> {
    let DatabaseUrl::Sqlite(path) = &config.database_url;
    if !path.exists() {
        let path = path.display();
        return Err(Failure::failed_because(format!("there is no {path}; there are no dead letters")));
    }
    match action {
        Action::List => list(path, json).await,
        Action::Show(id) => show(path, id, json).await,
        Action::Replay(which) => decide::replay(config, which, json).await,
        Action::Drop(ids) => decide::drop_for_good(config, &ids, json).await,
    }
}

async fn list(path: &Path, json: bool) -> Result<(), Failure> {
    let visit = Visit::to(path).await.map_err(|error| Failure::failed(&error))?;
    let letters = all(&DeadLetterOffice::new(visit.pool().clone())).await?;
    visit.close().await;
    print(&if json { render::list_as_json(&letters) } else { render::table(&letters) })
}

async fn show(path: &Path, id: i64, json: bool) -> Result<(), Failure> {
    let visit = Visit::to(path).await.map_err(|error| Failure::failed(&error))?;
    let found = DeadLetterOffice::new(visit.pool().clone()).find(id).await;
    visit.close().await;
    let letter = found
        .map_err(|error| Failure::failed(&error))?
        .ok_or_else(|| Failure::failed_because(format!("there is no dead letter {id}")))?;
    print(&if json { render::one_as_json(&letter) } else { render::one(&letter) })
}

async fn all(office: &DeadLetterOffice) -> Result<Vec<FiledLetter>, Failure> {
    let mut letters: Vec<FiledLetter> = Vec::new();
    loop {
        let after = letters.last().map_or(0, |filed| filed.letter.id);
        let piece = office.list(after, PIECE).await.map_err(|error| Failure::failed(&error))?;
        if piece.is_empty() {
            return Ok(letters);
        }
        letters.extend(piece);
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::failed(&error)),
        _ => Ok(()),
    }
}
