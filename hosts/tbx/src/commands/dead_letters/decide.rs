//! `replay` and `drop`.

use serde_json::json;
use tbx_service::Config;
use tbx_store::sqlite::{Database, DeadLetterOffice, Replayed, SqliteOutbox};

use super::{Which, all, print};
use crate::embedded::options;
use crate::exit::Failure;

/// What became of each letter.
struct Outcomes {
    json: bool,
    told: Vec<(i64, Result<&'static str, &'static str>)>,
}

/// Puts letters back into the outbox; the next start of the process that owns the database hands them over.
pub(super) async fn replay(config: &Config, which: Which, json: bool) -> Result<(), Failure> {
    let database = owned(config).await?;
    let (office, outbox) = (DeadLetterOffice::new(database.writer().clone()), SqliteOutbox::of(&database));
    let ids = match which {
        Which::These(ids) => ids,
        Which::All => all(&office).await?.iter().map(|filed| filed.letter.id).collect(),
    };
    let mut outcomes = Outcomes { json, told: Vec::new() };
    for id in ids {
        let replayed = office.replay(id, &outbox).await.map_err(|error| Failure::failed(&error))?;
        outcomes.told.push((
            id,
            match replayed {
                Replayed::Queued => Ok("put back into the outbox; it is handed over when tbx runs"),
                Replayed::Absent => Err("there is no such dead letter"),
                Replayed::Unreadable => Err("cannot be read as a message, so it can only be dropped"),
                _ => Err("is still in the outbox, on its way to other groups"),
            },
        ));
    }
    database.close().await;
    outcomes.tell("replayed")
}

pub(super) async fn drop_for_good(config: &Config, ids: &[i64], json: bool) -> Result<(), Failure> {
    let database = owned(config).await?;
    let office = DeadLetterOffice::new(database.writer().clone());
    let mut outcomes = Outcomes { json, told: Vec::new() };
    for id in ids {
        let dropped = office.discard(*id).await.map_err(|error| Failure::failed(&error))?;
        outcomes.told.push((*id, if dropped { Ok("dropped") } else { Err("there is no such dead letter") }));
    }
    database.close().await;
    outcomes.tell("dropped")
}

/// The database as its owner: a letter is not taken away under a running process.
async fn owned(config: &Config) -> Result<Database, Failure> {
    let options = options(config).with_create(false);
    Database::connect(&options).await.map_err(|error| Failure::failed(&error))
}

impl Outcomes {
    fn tell(self, done: &str) -> Result<(), Failure> {
        let failed = self.told.iter().filter(|(_, outcome)| outcome.is_err()).count();
        let of = self.told.len();
        print(&self.render(done))?;
        match failed {
            0 => Ok(()),
            failed => Err(Failure::failed_because(format!("{failed} of {of} dead letters were not {done}"))),
        }
    }

    fn render(self, done: &str) -> String {
        if self.json {
            let outcomes = self.told.iter().map(|(id, outcome)| match outcome {
                Ok(_) => json!({ "id": id, "outcome": done }),
                Err(why) => json!({ "id": id, "outcome": "failed", "detail": why }),
            });
            return format!("{}\n", outcomes.collect::<serde_json::Value>());
        }
        if self.told.is_empty() {
            return "There are no dead letters.\n".to_owned();
        }
        let line = |(id, outcome): &(i64, Result<&str, &str>)| {
            let (Ok(text) | Err(text)) = outcome;
            format!("{id}: {text}\n")
        };
        self.told.iter().map(line).collect()
    }
}
