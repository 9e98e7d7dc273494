//! The dead letters of a group, for those who look after them.

use std::collections::HashMap;
use std::sync::Arc;

use lapin::message::Delivery as Incoming;
use lapin::types::FieldTable;

use super::bus::on_channel;
use super::look::{self, Look};
use super::outbox::Outgoing;
use super::stored_letter::{self, StoredLetter};
use super::{RabbitMq, frames, letter, names, partitions};
use crate::{BusError, BusErrorKind, MessageId};

/// The dead letters of one group; obtained by [`RabbitMq::dead_letters`].
///
/// The broker keeps them in a queue, and puts what is taken out and given back behind what was given back before. So whoever looks takes all of
/// them from the oldest on, up to what it wants and to the 10,000th, and gives back what is not wanted: only so their order stays. Who looks at the same time waits for its turn,
/// and gives up after [`with_publish_timeout`](super::RabbitOptions::with_publish_timeout).
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    broker: RabbitMq,
    group: Arc<str>,
}

impl RabbitMq {
    /// The dead letters of a group.
    #[must_use]
    pub fn dead_letters(&self, group: &str) -> DeadLetterQueue {
        DeadLetterQueue { broker: self.clone(), group: group.into() }
    }
}

impl DeadLetterQueue {
    /// How many there are.
    ///
    /// # Errors
    ///
    /// [`Declaration`](BusErrorKind::Declaration) when there is no such group, or when the broker cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as all methods that change nothing.
    pub async fn count(&self) -> Result<u32, BusError> {
        let counted = on_channel(&self.broker, "counting dead letters", async |channel| {
            look::ask(channel, &self.group).await.map(|told| told.letters)
        });
        counted.await.map(|(_, _, count)| count)
    }

    /// The oldest `limit` letters, oldest first.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list(&self, limit: usize) -> Result<Vec<StoredLetter>, BusError> {
        let mut letters = Vec::new();
        if limit == 0 {
            return Ok(letters);
        }
        self.look(|incoming| {
            letters.push(StoredLetter::read(incoming, &self.group));
            letters.len() < limit
        })
        .await?;
        Ok(letters)
    }

    /// The letter about the message of that id, the oldest if there are several; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn show(&self, id: &str) -> Result<Option<StoredLetter>, BusError> {
        let mut found = None;
        self.look(|incoming| {
            if stored_letter::id(&incoming) == id {
                found = Some(StoredLetter::read(incoming, &self.group));
            }
            found.is_none()
        })
        .await?;
        Ok(found)
    }

    /// Gives the message to its group again, to the partition of its key if it has several, and to no other; its attempts begin anew. Whether
    /// there was one.
    ///
    /// It comes late, after others of its key.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count), and when the group's queue does not take it; [`TooLarge`](BusErrorKind::TooLarge) when another program sent it with
    /// more than about 13 KiB of headers, which only the broker itself can move, by a shovel. The letter stays.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave the message both in its group and among the letters.
    pub async fn replay(&self, id: &str) -> Result<bool, BusError> {
        the_one(self.replay_each(&[id]).await?)
    }

    /// [`replay`](Self::replay) for many in one look: what became of each, in the order of `ids`.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count), when nothing was done. What fails later is told of each that it concerns, and an outage of all that are left.
    ///
    /// # Cancel safety
    ///
    /// Each has been replayed or not, and one may be both in its group and among the letters.
    pub async fn replay_each<T: AsRef<str>>(
        &self,
        ids: &[T],
    ) -> Result<Vec<Result<bool, BusError>>, BusError> {
        let spread = partitions::are_there(&self.broker, &self.group).await?;
        self.decide(Decision::Replay { spread }, ids).await
    }

    /// Forgets the message for good. Whether there was one.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    ///
    /// # Cancel safety
    ///
    /// A dropped future has dropped the letter or not.
    pub async fn drop(&self, id: &str) -> Result<bool, BusError> {
        the_one(self.drop_each(&[id]).await?)
    }

    /// [`drop`](Self::drop) for many in one look: what became of each, in the order of `ids`.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count), when nothing was done. What fails later is told of each that it concerns, and an outage of all that are left.
    ///
    /// # Cancel safety
    ///
    /// Each has been dropped or not.
    pub async fn drop_each<T: AsRef<str>>(&self, ids: &[T]) -> Result<Vec<Result<bool, BusError>>, BusError> {
        self.decide(Decision::Drop, ids).await
    }

    /// Shows them one after the other, for as long as `see` wants more, and changes nothing.
    async fn look(&self, mut see: impl FnMut(Incoming) -> bool) -> Result<(), BusError> {
        let mut look = self.broker.look(&self.group).await?;
        let seen = loop {
            match look.next().await {
                Ok(Some(incoming)) => {
                    if !see(incoming) {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        look.close().await;
        seen
    }

    /// Acts on the oldest letter of each id, in the order in which they lie there.
    async fn decide<T: AsRef<str>>(
        &self,
        decision: Decision,
        ids: &[T],
    ) -> Result<Vec<Result<bool, BusError>>, BusError> {
        let mut look = self.broker.look(&self.group).await?;
        let decided = match find(&mut look, ids).await {
            Ok(found) => Ok(self.carry_out(decision, &mut look, found, ids.len()).await),
            Err(error) => Err(error),
        };
        look.close().await;
        decided
    }

    /// What keeps all of them ends it: the rest would only meet it again, after a wait for each.
    async fn carry_out(
        &self,
        decision: Decision,
        look: &mut Look<'_>,
        found: Vec<(usize, Incoming)>,
        wanted: usize,
    ) -> Vec<Result<bool, BusError>> {
        let mut outcomes: Vec<Result<bool, BusError>> = (0..wanted).map(|_| Ok(false)).collect();
        let mut end: Option<BusError> = None;
        for (index, letter) in found {
            let outcome = match &end {
                None => self.act(decision, look, letter).await,
                Some(end) => Err(end.again()),
            };
            if let Err(error) = &outcome
                && end.is_none()
                && keeps_all(error)
            {
                end = Some(error.again());
            }
            outcomes[index] = outcome.map(|()| true);
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Ok(true)))
            && let Err(error) = look.is_seen().await
        {
            // The broker may have seen it or not; if not, the letters are still there.
            for outcome in outcomes.iter_mut().filter(|outcome| matches!(outcome, Ok(true))) {
                *outcome = Err(error.again());
            }
        }
        outcomes
    }

    async fn act(&self, decision: Decision, look: &mut Look<'_>, letter: Incoming) -> Result<(), BusError> {
        let acker = letter.acker.clone();
        if let Decision::Replay { spread } = decision {
            let again = again(letter, &self.group, spread)?;
            self.broker.0.outbox.send(again).await?.accepted().await?;
        }
        look.done_with(&acker).await
    }
}

/// The oldest letter of each id, with the place of the id. All of them are read before anything is done: what waits to be read is in memory.
async fn find<T: AsRef<str>>(look: &mut Look<'_>, ids: &[T]) -> Result<Vec<(usize, Incoming)>, BusError> {
    let mut wanted: HashMap<&str, usize> = HashMap::new();
    for (index, id) in ids.iter().enumerate() {
        wanted.entry(id.as_ref()).or_insert(index);
    }
    let mut found = Vec::new();
    while !wanted.is_empty()
        && let Some(letter) = look.next().await?
    {
        if let Some(index) = wanted.remove(&*stored_letter::id(&letter)) {
            found.push((index, letter));
        }
    }
    Ok(found)
}

/// Whether what went wrong with one letter would go wrong with each.
fn keeps_all(error: &BusError) -> bool {
    use BusErrorKind::{Blocked, Closed, ConfirmLost, Disconnected};
    matches!(error.kind(), Blocked | Closed | ConfirmLost | Disconnected)
}

/// What is to become of a letter.
#[derive(Debug, Clone, Copy)]
enum Decision {
    /// Whether the group is spread over partitions.
    Replay {
        spread: bool,
    },
    Drop,
}

/// The only one of as many outcomes as there were ids.
fn the_one(outcomes: Vec<Result<bool, BusError>>) -> Result<bool, BusError> {
    outcomes.into_iter().next().unwrap_or(Ok(false))
}

/// The message of a letter, without what made it one.
fn again(incoming: Incoming, group: &str, spread: bool) -> Result<Outgoing, BusError> {
    let topic = stored_letter::topic(&incoming);
    let mut headers = FieldTable::default();
    for (name, value) in incoming.properties.headers().iter().flat_map(FieldTable::inner) {
        // The slot stays, if there is one: by it the message finds its partition again.
        if !names::is_reserved(name.as_str()) || name.as_str() == names::SLOT {
            headers.insert(name.clone(), value.clone());
        }
    }
    letter::put(&mut headers, names::TOPIC, &topic);
    letter::put(&mut headers, names::REPLAYED, "true");
    let id = MessageId::new(&stored_letter::id(&incoming)).unwrap_or_else(|_| MessageId::generate());
    let properties = letter::moved(&incoming.properties, headers, &id);
    frames::check_moved(&properties)?;
    let send = if spread { letter::to_partition } else { letter::to_queue };
    Ok(send(group, properties, incoming.data.into(), id))
}
