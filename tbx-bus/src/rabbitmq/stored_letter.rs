//! A dead letter as the broker keeps it, whoever made it: we, or the broker itself.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use lapin::message::Delivery as Incoming;
use lapin::types::AMQPValue;

use super::{encode, names};
use crate::{DeadLetter, Headers, Reason, ReasonKind, Topic, cloudevents};

/// A dead letter as the broker keeps it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredLetter {
    /// The id of the message. One that came without gets a name here, made from its content, so that it can be told.
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
    pub(super) fn read(incoming: Incoming, group: &Arc<str>) -> Self {
        let id = id(&incoming);
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
            id,
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

/// By what a letter is called.
pub(super) fn id(incoming: &Incoming) -> String {
    if let Some(id) = incoming.properties.message_id().as_ref().filter(|id| !id.as_str().is_empty()) {
        return id.as_str().to_owned();
    }
    // A message of another program that the broker itself has moved: an event may be named by its attribute alone.
    if let Some(id) = encode::text_headers(&incoming.properties).remove(cloudevents::ID) {
        return id;
    }
    let mut hasher = DefaultHasher::new();
    (incoming.routing_key.as_str(), &incoming.data).hash(&mut hasher);
    format!("unnamed-{:016x}", hasher.finish())
}

/// The topic of a letter. One that we wrote says it; of one that the broker made it is the routing key that the message came with.
pub(super) fn topic(incoming: &Incoming) -> String {
    let told = encode::text_headers(&incoming.properties).remove(names::TOPIC);
    told.or_else(|| Death::read(incoming).routing_key)
        .unwrap_or_else(|| incoming.routing_key.as_str().to_owned())
}
