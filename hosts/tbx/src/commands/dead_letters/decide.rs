//! `replay` and `drop`.

use serde_json::json;
use tbx_backends::{LetterId, Letters, LettersError};
use tbx_service::{Failure, chain};
use tbx_store::sqlite::Replayed;

use super::{Which, print};

/// What was done about a letter, or why nothing was.
type Outcome = Result<&'static str, String>;

const ABSENT: &str = "there is no such dead letter";

/// What became of each letter.
struct Outcomes {
    json: bool,
    wanted: usize,
    told: Vec<(LetterId, Outcome)>,
}

/// Has letters handled again: by the next start of the process that owns the file, or at once where processes share what keeps them.
pub(super) async fn replay(letters: Letters, which: Which, json: bool) -> Result<(), Failure> {
    let ids = match which {
        Which::These(ids) => ids,
        Which::All => {
            let all = letters.list().await.map_err(|error| Failure::failed(&error))?;
            all.into_iter().map(|letter| letter.id).collect()
        }
    };
    let mut outcomes = Outcomes { json, wanted: ids.len(), told: Vec::new() };
    for (id, replayed) in letters.replay_each(ids).await {
        let outcome = replayed.map(|replayed| of_replay(replayed, &id));
        outcomes.note(id, outcome);
    }
    letters.close().await;
    outcomes.tell("replayed")
}

fn of_replay(replayed: Replayed, id: &LetterId) -> Outcome {
    let why_not = match (replayed, id) {
        (Replayed::Queued, LetterId::Stored(_)) => {
            return Ok("put back into the outbox; it is handed over when tbx runs");
        }
        (Replayed::Queued, LetterId::Queued { .. }) => return Ok("given to its group again"),
        (Replayed::Absent, _) => ABSENT,
        (Replayed::Unreadable, _) => "cannot be read as a message, so it can only be dropped",
        _ => "is still in the outbox, on its way to other groups",
    };
    Err(why_not.to_owned())
}

pub(super) async fn drop_for_good(letters: Letters, ids: Vec<LetterId>, json: bool) -> Result<(), Failure> {
    let mut outcomes = Outcomes { json, wanted: ids.len(), told: Vec::new() };
    for (id, dropped) in letters.discard_each(ids).await {
        let outcome = dropped.map(|dropped| if dropped { Ok("dropped") } else { Err(ABSENT.to_owned()) });
        outcomes.note(id, outcome);
    }
    letters.close().await;
    outcomes.tell("dropped")
}

impl Outcomes {
    fn note(&mut self, id: LetterId, outcome: Result<Outcome, LettersError>) {
        self.told.push((id, outcome.unwrap_or_else(|error| Err(chain(&error)))));
    }

    fn tell(self, done: &str) -> Result<(), Failure> {
        let failed = self.told.iter().filter(|(_, outcome)| outcome.is_err()).count();
        let (wanted, untried) = (self.wanted, self.wanted - self.told.len());
        print(&self.render(done))?;
        let untried_too = match untried {
            0 => String::new(),
            untried => format!(", {untried} of them not even tried"),
        };
        match failed + untried {
            0 => Ok(()),
            left => Err(Failure::failed_because(format!(
                "{left} of {wanted} dead letters were not {done}{untried_too}"
            ))),
        }
    }

    fn render(self, done: &str) -> String {
        if self.json {
            let outcomes = self.told.iter().map(|(id, outcome)| match outcome {
                Ok(_) => json!({ "id": id.to_string(), "outcome": done }),
                Err(why) => json!({ "id": id.to_string(), "outcome": "failed", "detail": why }),
            });
            return format!("{}\n", outcomes.collect::<serde_json::Value>());
        }
        if self.told.is_empty() {
            return "There are no dead letters.\n".to_owned();
        }
        let line = |(id, outcome): &(LetterId, Outcome)| match outcome {
            Ok(how) => format!("{id}: {how}\n"),
            Err(why) => format!("{id}: {why}\n"),
        };
        self.told.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use tbx_bus::{BusError, BusErrorKind};

    use super::*;

    #[test]
    fn what_is_wrong_with_a_letter_is_told_of_it() {
        let mut outcomes = Outcomes { json: false, wanted: 3, told: Vec::new() };
        let failed = |kind| Err(LettersError::from(BusError::new(kind, "replaying")));
        outcomes.note(LetterId::Stored(1), Ok(Ok("replayed")));
        outcomes.note(LetterId::Stored(2), failed(BusErrorKind::TooLarge));
        outcomes.note(LetterId::Stored(3), failed(BusErrorKind::Disconnected));
        assert_eq!(
            outcomes.render("replayed"),
            "1: replayed\n2: the message is too large: replaying\n3: the connection to the bus was lost: replaying\n"
        );
    }
}
