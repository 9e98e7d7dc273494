//! The dead letters of a group, for those who look after them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use lapin::message::Delivery as Incoming;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Event};
use tokio::time::Instant;

use super::bus::{on_channel, within};
use super::client::Broker;
use super::dial::{Dialled, dial};
use super::frames::{self, Frames};
use super::outbox::Outgoing;
use super::{RabbitMq, encode, error, letter, names, partitions};
use crate::time::from_now;
use crate::{BusError, BusErrorKind, DeadLetter, Headers, MessageId, Reason, ReasonKind, Topic, cloudevents};

const LOOKING: &str = "reading dead letters";

/// How many letters are looked through.
const LOOKED_THROUGH: usize = 10_000;

/// The dead letters of one group; obtained by [`RabbitMq::dead_letters`].
///
/// The broker keeps them in a queue, and puts what is taken out and given back behind what was given back before. So whoever looks takes all of
/// them, up to the 10,000 oldest, and gives back what is not wanted: only so their order stays. Two processes that look at the same time each see a part;
/// in one process they take turns.
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
    /// Cancel safe, as all methods but [`replay`](Self::replay).
    pub async fn count(&self) -> Result<u32, BusError> {
        let queue = names::dead(&self.group);
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let (_, _, queue) = on_channel(&self.broker, "counting dead letters", async |channel| {
            let counted = channel.queue_declare(names::short(&queue), options, FieldTable::default()).await;
            counted.map_err(|error| self.failed(error))
        })
        .await?;
        Ok(queue.message_count())
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
        self.look(async |channel| {
            let mut letters = Vec::new();
            self.take_all(channel, |incoming| {
                if letters.len() < limit {
                    letters.push(StoredLetter::read(incoming, &self.group));
                }
            })
            .await?;
            Ok(letters)
        })
        .await
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
        self.look(async |channel| {
            let found = self.find(channel, id).await?;
            Ok(found.map(|incoming| StoredLetter::read(incoming, &self.group)))
        })
        .await
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
        let spread = partitions::are_there(&self.broker, &self.group).await?;
        self.look(async |channel| {
            let Some(incoming) = self.find(channel, id).await? else { return Ok(false) };
            let tag = incoming.delivery_tag;
            let again = again(incoming, &self.group, spread)?;
            self.broker.0.outbox.send(again).await?.accepted().await?;
            self.done_with(channel, tag).await?;
            Ok(true)
        })
        .await
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
        self.look(async |channel| {
            let Some(incoming) = self.find(channel, id).await? else { return Ok(false) };
            self.done_with(channel, incoming.delivery_tag).await?;
            Ok(true)
        })
        .await
    }

    /// Looks at letters over a connection of its own: among them are those of other programs that fit into no frame of ours. With its
    /// channel everything that was taken out and not done with goes back, in order.
    async fn look<T>(&self, look: impl AsyncFnOnce(&Channel) -> Result<T, BusError>) -> Result<T, BusError> {
        let Broker { options, closed, looks, .. } = &*self.broker.0;
        let deadline = from_now(options.publish_timeout);
        let looking = async {
            // Two at once would each see a part.
            let turn = looks.lock().await;
            let dialled = self.connect(deadline).await?;
            let mut events = dialled.connection.events_listener();
            let channel = dialled.connection.create_channel().await;
            let channel = channel.map_err(|error| error::of_channel(error, LOOKING))?;
            let looked = tokio::select! {
                biased;
                looked = look(&channel) => looked,
                error = end(&mut events) => Err(error),
            };
            Ok((turn, dialled, channel, looked))
        };
        let (_turn, dialled, channel, looked) = tokio::select! {
            biased;
            () = closed.cancelled() => return Err(BusError::new(BusErrorKind::Closed, LOOKING)),
            looked = within(deadline, LOOKING, looking) => looked?,
        };
        // Waited for, also when it failed, so that whoever looks next sees them all.
        dialled.say_goodbye_after(&channel).await;
        looked
    }

    /// Tries until the deadline, where trying again can help.
    async fn connect(&self, deadline: Instant) -> Result<Dialled, BusError> {
        let options = &self.broker.0.options;
        let mut failures = 0;
        loop {
            // In a box, because a handshake takes room that nobody else in here needs.
            let error = match Box::pin(dial(options, LOOKING, Frames::Large)).await {
                Ok(dialled) => return Ok(dialled),
                Err(error) => error,
            };
            failures += 1;
            let next = Instant::now() + options.backoff.delay(failures);
            if error.needs_a_person || next >= deadline {
                return Err(error.into_bus_error());
            }
            tokio::time::sleep_until(next).await;
        }
    }

    async fn find(&self, channel: &Channel, id: &str) -> Result<Option<Incoming>, BusError> {
        let mut found = None;
        self.take_all(channel, |incoming| {
            let is_it = incoming.properties.message_id().as_ref().is_some_and(|other| other.as_str() == id);
            if is_it && found.is_none() {
                found = Some(incoming);
            }
        })
        .await?;
        Ok(found)
    }

    async fn take_all(&self, channel: &Channel, mut take: impl FnMut(Incoming)) -> Result<(), BusError> {
        for _ in 0..LOOKED_THROUGH {
            match self.next(channel).await? {
                Some(incoming) => take(incoming),
                None => break,
            }
        }
        Ok(())
    }

    async fn next(&self, channel: &Channel) -> Result<Option<Incoming>, BusError> {
        let got =
            channel.basic_get(names::short(&names::dead(&self.group)), BasicGetOptions::default()).await;
        got.map(|got| got.map(|got| got.delivery)).map_err(|error| self.failed(error))
    }

    async fn done_with(&self, channel: &Channel, tag: u64) -> Result<(), BusError> {
        let acked = channel.basic_ack(tag, BasicAckOptions::default()).await;
        acked.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: lapin::Error) -> BusError {
        let group = &self.group;
        if error::is_missing(&error) {
            let context =
                format!("there is no group `{group}` with dead letters on this broker; check its name");
            return BusError::new(BusErrorKind::Declaration, context);
        }
        error::of_channel(error, format!("reading the dead letters of `{group}`"))
    }
}

/// Waits for the end of a connection. Lapin does not tell it to who asked for a letter.
async fn end(events: &mut (impl Stream<Item = Event> + Unpin)) -> BusError {
    while let Some(event) = events.next().await {
        match event {
            Event::Error(error) if error::is_large_frame(&error) => {
                let context = format!(
                    "{LOOKING}: the headers of one are larger than a frame of the broker; move it by a shovel"
                );
                return BusError::new(BusErrorKind::TooLarge, context);
            }
            Event::Error(error) if error::ends_connection(&error) => {
                let context = format!("{LOOKING}: {}", error::told(&error));
                return BusError::new(BusErrorKind::Disconnected, context);
            }
            _ => {}
        }
    }
    BusError::new(BusErrorKind::Disconnected, LOOKING)
}

/// The message of a letter, without what made it one.
fn again(incoming: Incoming, group: &str, spread: bool) -> Result<Outgoing, BusError> {
    let topic = topic(&incoming);
    let mut headers = FieldTable::default();
    for (name, value) in incoming.properties.headers().iter().flat_map(FieldTable::inner) {
        // The slot stays, if there is one: by it the message finds its partition again.
        if !names::is_reserved(name.as_str()) || name.as_str() == names::SLOT {
            headers.insert(name.clone(), value.clone());
        }
    }
    letter::put(&mut headers, names::TOPIC, &topic);
    letter::put(&mut headers, names::REPLAYED, "true");
    let id = incoming.properties.message_id().as_ref().and_then(|id| MessageId::new(id.as_str()).ok());
    let properties = incoming.properties.with_headers(headers);
    frames::check_moved(&properties)?;
    let send = if spread { letter::to_partition } else { letter::to_queue };
    Ok(send(group, properties, incoming.data.into(), id.unwrap_or_else(MessageId::generate)))
}

/// A dead letter as the broker keeps it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredLetter {
    /// The id of the message.
    pub id: String,
    /// The group that gave it up.
    pub group: Arc<str>,
    /// The topic that it was published on.
    pub topic: String,
    /// Why it was given up.
    pub reason: Reason,
    /// How often it was tried.
    pub attempts: u32,
    /// The exchange that it was published to, where that is known.
    pub exchange: Option<String>,
    /// Its headers with the attributes among them, as far as they can be said in text.
    pub headers: Headers,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl StoredLetter {
    fn read(incoming: Incoming, group: &Arc<str>) -> Self {
        let mut headers = encode::text_headers(&incoming.properties);
        let death = Death::read(&incoming);
        let attempts = headers.get(names::ATTEMPTS).and_then(|text| text.parse().ok()).unwrap_or(0);
        let reason = match headers.remove(names::REASON) {
            Some(word) => Reason::new(
                ReasonKind::from_word(&word).unwrap_or(ReasonKind::Rejected),
                headers.remove(names::DETAIL).unwrap_or_default(),
            ),
            None => death.reason(),
        };
        let property =
            |text: &Option<lapin::types::ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        Self {
            id: property(incoming.properties.message_id()).unwrap_or_default(),
            group: Arc::clone(group),
            topic: topic(&incoming),
            reason,
            attempts,
            exchange: headers.remove(names::EXCHANGE).or(death.exchange),
            content_type: property(incoming.properties.content_type()),
            headers: headers.into_iter().filter(|(name, _)| !names::is_reserved(name)).collect(),
            body: incoming.data.into(),
        }
    }

    /// The letter as every bus tells it; `None` when the message cannot be read.
    #[must_use]
    pub fn to_dead_letter(&self) -> Option<DeadLetter> {
        let topic = Topic::new(&self.topic).ok()?;
        let message = cloudevents::from_headers(topic, &self.headers, self.body.clone()).ok()?;
        Some(DeadLetter::new(Arc::new(message), Arc::clone(&self.group), self.attempts, self.reason.clone()))
    }
}

impl fmt::Debug for StoredLetter {
    /// Leaves the body out: it may hold what logs must not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredLetter")
            .field("id", &self.id)
            .field("group", &self.group)
            .field("topic", &self.topic)
            .field("reason", &self.reason)
            .field("attempts", &self.attempts)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What the broker notes on a letter that it makes itself.
#[derive(Debug, Default)]
struct Death {
    reason: Option<String>,
    exchange: Option<String>,
    routing_key: Option<String>,
}

impl Death {
    /// The latest one; the broker puts it in front.
    fn read(incoming: &Incoming) -> Self {
        let table = incoming.properties.headers().as_ref();
        let deaths = table.and_then(|table| table.inner().get(names::DEATHS)).and_then(AMQPValue::as_array);
        let Some(AMQPValue::FieldTable(death)) = deaths.and_then(|deaths| deaths.as_slice().first()) else {
            return Self::default();
        };
        let text = |value: &AMQPValue| match value {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        };
        let get = |name: &str| death.inner().get(name).and_then(text);
        let keys = death.inner().get("routing-keys").and_then(AMQPValue::as_array);
        Self {
            reason: get("reason"),
            exchange: get("exchange").filter(|name| !name.is_empty()),
            routing_key: keys.and_then(|keys| keys.as_slice().first()).and_then(text),
        }
    }

    fn reason(&self) -> Reason {
        match self.reason.as_deref() {
            Some("delivery_limit") => {
                Reason::new(ReasonKind::DeliveryLimit, "returned to the broker as often as it allows")
            }
            Some(other) => Reason::new(ReasonKind::Rejected, format!("the broker says: {other}")),
            None => Reason::new(ReasonKind::Rejected, "no reason was given"),
        }
    }
}

/// The topic of a letter. One that we wrote says it; of one that the broker made it is the routing key that the message came with.
fn topic(incoming: &Incoming) -> String {
    let told = encode::text_headers(&incoming.properties).remove(names::TOPIC);
    told.or_else(|| Death::read(incoming).routing_key)
        .unwrap_or_else(|| incoming.routing_key.as_str().to_owned())
}
