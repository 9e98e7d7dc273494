//! A message as the broker carries it, and back.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery as Incoming;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::{names, partitions};
use crate::cloudevents::{self, CloudEventsError};
use crate::{BusError, BusErrorKind, Headers, Message, Topic};

/// The broker writes to disk what carries this mode.
pub(super) const PERSISTENT: u8 = 2;

/// The properties that carry `message` beside its body, with its `slot` and `extra` headers of our own.
///
/// Attributes are headers (the binding of CloudEvents for AMQP 1.0, whose application properties are the headers of 0-9-1), and those that
/// AMQP has a property for are there too, so that consoles and other libraries show them.
///
/// # Errors
///
/// `TooLarge` when the name of a header has no form in AMQP, `Unsupported` when the broker would take it for an order. Whether all of it fits into a frame is for the caller to check.
pub(super) fn properties(
    message: &Message,
    slot: Option<&str>,
    extra: &[(&str, &str)],
) -> Result<BasicProperties, BusError> {
    let mut headers = FieldTable::default();
    let mut put = |name: ShortString, value: &str| {
        headers.insert(name, AMQPValue::LongString(value.into()));
    };
    if let Some(name) = message.headers().keys().find(|name| names::routes(name)) {
        let context =
            format!("RabbitMQ takes the header `{name}` for queues to route to; give it another name");
        return Err(BusError::new(BusErrorKind::Unsupported, context));
    }
    for (name, value) in message.headers().iter().filter(|(name, _)| !names::is_reserved(name)) {
        let name = ShortString::try_new(name.as_str()).map_err(|_| {
            BusError::new(BusErrorKind::TooLarge, "the name of a header is longer than 255 bytes")
        })?;
        put(name, value);
    }
    cloudevents::for_each_attribute(message, |name, value| put(names::short(name), value));
    let slot = slot.map(|slot| (names::SLOT, slot));
    for (name, value) in extra.iter().copied().chain(slot) {
        put(names::short(name), value);
    }
    Ok(BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(names::short(message.id().as_str()))
        .with_content_type(names::short(message.content_type()))
        .with_type(names::short(message.kind()))
        .with_timestamp(u64::try_from(message.time().timestamp()).unwrap_or(0))
        .with_headers(headers))
}

/// What came out of a queue, as far as it can be understood.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) message: Result<Message, Unreadable>,
    /// How often it was delivered before it was last put off.
    pub(super) put_off_after: u32,
    /// How often the broker has taken it back since.
    pub(super) taken_back: u32,
    /// It did not come by its topic: it was put off, or replayed.
    pub(super) sent_to_group: bool,
    /// The slot by which it came to its partition, and comes again.
    pub(super) slot: Option<Box<str>>,
}

/// Why a message cannot be understood.
#[derive(Debug)]
pub(super) enum Unreadable {
    NoTopic(crate::TopicError),
    NoEvent(CloudEventsError),
}

impl Unreadable {
    pub(super) fn detail(&self) -> String {
        match self {
            Self::NoTopic(error) => format!("the routing key is no topic: {error}"),
            Self::NoEvent(error) => error.to_string(),
        }
    }
}

/// Reads what came out of a queue.
pub(super) fn decode(incoming: &mut Incoming) -> Decoded {
    let mut headers = text_headers(&incoming.properties);
    let table = incoming.properties.headers().as_ref();
    let count = |name| table.and_then(|table| number(table.inner().get(name)?)).unwrap_or(0);
    let put_off_after = headers.get(names::ATTEMPTS).and_then(|text| text.parse().ok()).unwrap_or(0);
    let taken_back = u32::try_from(count(names::DELIVERY_COUNT).max(0)).unwrap_or(u32::MAX);
    let topic = headers.remove(names::TOPIC);
    let sent_to_group = topic.is_some();
    let slot = headers.remove(names::SLOT).filter(|slot| partitions::is_slot(slot)).map(Into::into);
    headers.retain(|name, _| !names::is_reserved(name));
    let body = Bytes::from(std::mem::take(&mut incoming.data));
    let topic = Topic::new(topic.as_deref().unwrap_or(incoming.routing_key.as_str()));
    let message = match topic {
        Ok(topic) => match cloudevents::from_headers(topic, &headers, body.clone()) {
            Ok(message) => Ok(message),
            Err(error) => Err(Unreadable::NoEvent(error)),
        },
        Err(error) => Err(Unreadable::NoTopic(error)),
    };
    if message.is_err() {
        // Whoever buries it needs the bytes as they were.
        incoming.data = body.into();
    }
    Decoded { message, put_off_after, taken_back, sent_to_group, slot }
}

/// The headers that are text, or can be said in text.
pub(super) fn text_headers(properties: &BasicProperties) -> Headers {
    let Some(table) = properties.headers() else { return Headers::new() };
    table.inner().iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect()
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        AMQPValue::Boolean(value) => Some(value.to_string()),
        AMQPValue::Float(value) => Some(value.to_string()),
        AMQPValue::Double(value) => Some(value.to_string()),
        AMQPValue::Timestamp(value) => Some(value.to_string()),
        other => number(other).map(|number| number.to_string()),
    }
}

pub(super) fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(value) => Some((*value).into()),
        AMQPValue::ShortShortUInt(value) => Some((*value).into()),
        AMQPValue::ShortInt(value) => Some((*value).into()),
        AMQPValue::ShortUInt(value) => Some((*value).into()),
        AMQPValue::LongInt(value) => Some((*value).into()),
        AMQPValue::LongUInt(value) => Some((*value).into()),
        AMQPValue::LongLongInt(value) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::ShortString;

    use super::*;

    fn incoming(routing_key: &str, properties: BasicProperties, body: &[u8]) -> Incoming {
        let mut incoming =
            Incoming::mock(1, ShortString::default(), names::short(routing_key), false, body.to_vec());
        incoming.properties = properties;
        incoming
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "body")
            .with_time(chrono::DateTime::UNIX_EPOCH)
            .with_header("own", "häder");
        let mut incoming = incoming("a.b", properties(&message, None, &[]).unwrap(), message.body());
        let decoded = decode(&mut incoming);
        assert_eq!(decoded.message.unwrap(), message);
        assert_eq!((decoded.put_off_after, decoded.taken_back, decoded.sent_to_group), (0, 0, false));
    }

    #[test]
    fn what_the_broker_and_we_add_is_no_part_of_the_message() {
        let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "body")
            .with_time(chrono::DateTime::UNIX_EPOCH)
            .with_header("x-own", "stays");
        let extra = [(names::TOPIC, "a.b"), (names::ATTEMPTS, "3")];
        let mut properties = properties(&message, Some("7"), &extra).unwrap();
        let mut headers = properties.headers().clone().unwrap();
        headers.insert(names::DELIVERY_COUNT.into(), AMQPValue::LongLongInt(2));
        properties = properties.with_headers(headers);
        let decoded = decode(&mut incoming("readers", properties, message.body()));
        assert_eq!(decoded.message.unwrap(), message);
        assert_eq!((decoded.put_off_after, decoded.taken_back, decoded.sent_to_group), (3, 2, true));
        assert_eq!(decoded.slot.as_deref(), Some("7"));
    }

    #[test]
    fn what_cannot_be_read_keeps_its_bytes() {
        let mut incoming = incoming("a.b", BasicProperties::default(), b"foreign");
        let error = decode(&mut incoming).message.unwrap_err();
        assert_eq!(error.detail(), "the CloudEvents attribute `id` is missing");
        assert_eq!(incoming.data, b"foreign");
    }

    #[test]
    fn a_header_with_a_name_that_no_broker_takes_is_refused() {
        let message =
            Message::new(Topic::new("a.b").unwrap(), "Happened", "").with_header(&"n".repeat(256), "");
        assert_eq!(properties(&message, None, &[]).unwrap_err().kind(), BusErrorKind::TooLarge);
    }

    #[test]
    fn a_header_by_which_the_broker_routes_is_refused() {
        for name in ["CC", "BCC"] {
            let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "").with_header(name, "other");
            assert_eq!(properties(&message, None, &[]).unwrap_err().kind(), BusErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_slot_that_is_none_is_left_out() {
        for (text, slot) in [("15", Some("15")), ("16", None), ("007", None), ("x", None)] {
            let mut headers = FieldTable::default();
            headers.insert(names::SLOT.into(), AMQPValue::LongString(text.into()));
            let properties = BasicProperties::default().with_headers(headers);
            assert_eq!(decode(&mut incoming("a.b", properties, b"")).slot.as_deref(), slot, "{text}");
        }
    }
}
