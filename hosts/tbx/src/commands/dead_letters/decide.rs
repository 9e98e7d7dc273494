//! `replay` and `drop`.

use serde_json::json;
use tbx_backends::{LetterId, Letters};
use tbx_service::{Config, Failure};
use tbx_store::sqlite::Replayed;

use super::render::id_as_json;
use super::{Which, print};

/// What became of each letter.
struct Outcomes {
    json: bool,
    told: Vec<(LetterId, Result<&'static str, &'static str>)>,
}

/// Has letters handled again: by the next start of the process that owns the file, or at once where processes share what keeps them.
pub(super) async fn replay(config: &Config, which: Which, json: bool) -> Result<(), Failure> {
    let letters = Letters::to_decide_about(config).await.map_err(|error| Failure::failed(&error))?;
    let ids = match which {
        Which::These(ids) => ids,
        Which::All => {
            let all = letters.list().await.map_err(|error| Failure::failed(&error))?;
            all.into_iter().map(|letter| letter.id).collect()
        }
    };
    let mut outcomes = Outcomes { json, told: Vec::new() };
    for id in ids {
        let replayed = letters.replay(&id).await.map_err(|error| Failure::failed(&error))?;
        let told = match (replayed, &id) {
            (Replayed::Queued, LetterId::Stored(_)) => {
                Ok("put back into the outbox; it is handed over when tbx runs")
            }
            (Replayed::Queued, LetterId::Queued { .. }) => Ok("given to its group again"),
            (Replayed::Absent, _) => Err("there is no such dead letter"),
            (Replayed::Unreadable, _) => Err("cannot be read as a message, so it can only be dropped"),
            _ => Err("is still in the outbox, on its way to other groups"),
        };
        outcomes.told.push((id, told));
    }
    letters.close().await;
    outcomes.tell("replayed")
}

pub(super) async fn drop_for_good(config: &Config, ids: Vec<LetterId>, json: bool) -> Result<(), Failure> {
    let letters = Letters::to_decide_about(config).await.map_err(|error| Failure::failed(&error))?;
    let mut outcomes = Outcomes { json, told: Vec::new() };
    for id in ids {
        let dropped = letters.discard(&id).await.map_err(|error| Failure::failed(&error))?;
        outcomes.told.push((id, if dropped { Ok("dropped") } else { Err("there is no such dead letter") }));
    }
    letters.close().await;
    outcomes.tell("dropped")
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
                Ok(_) => json!({ "id": id_as_json(id), "outcome": done }),
                Err(why) => json!({ "id": id_as_json(id), "outcome": "failed", "detail": why }),
            });
            return format!("{}\n", outcomes.collect::<serde_json::Value>());
        }
        if self.told.is_empty() {
            return "There are no dead letters.\n".to_owned();
        }
        let line = |(id, outcome): &(LetterId, Result<&str, &str>)| {
            let (Ok(text) | Err(text)) = outcome;
            format!("{id}: {text}\n")
        };
        self.told.iter().map(line).collect()
    }
}
