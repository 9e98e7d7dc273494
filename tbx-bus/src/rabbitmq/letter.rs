//! Messages on their way to one group: to its dead letters, to its ladder of retries, and to itself once more.

use lapin::BasicProperties;
use lapin::message::Delivery as Incoming;
use lapin::types::{AMQPValue, FieldTable};

use super::outbox::Outgoing;
use super::shelf::Item;
use super::{encode, frames, names, partitions};
use crate::{BusError, Message, MessageId, Reason};

/// A letter about a message of a group. Where there is no room for the details of the reason, it goes without.
pub(super) fn letter(
    item: &Item,
    group: &str,
    exchange: &str,
    reason: &Reason,
    attempts: u32,
) -> Result<Outgoing, BusError> {
    let Item { message, slot, .. } = item;
    let attempts = attempts.to_string();
    let of = |detail| {
        let extra = [
            (names::TOPIC, message.topic().as_str()),
            (names::EXCHANGE, exchange),
            (names::ATTEMPTS, &attempts),
            (names::REASON, reason.kind.as_str()),
            (names::DETAIL, detail),
        ];
        let properties = encode::properties(message, slot.as_deref(), &extra)?;
        frames::check_moved(&properties).map(|()| properties)
    };
    let properties = of(cut(&reason.detail)).or_else(|_: BusError| of(""))?;
    Ok(to_queue(&names::dead(group), properties, message.body().clone(), message.id().clone()))
}

/// A letter about something that cannot be read, as it came.
pub(super) fn unreadable(
    incoming: &Incoming,
    group: &str,
    exchange: &str,
    detail: &str,
) -> Result<Outgoing, BusError> {
    let mut headers = FieldTable::default();
    for (name, value) in incoming.properties.headers().iter().flat_map(FieldTable::inner) {
        if !names::routes(name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let topic = incoming.routing_key.as_str();
    for (name, value) in [
        (names::TOPIC, topic),
        (names::EXCHANGE, exchange),
        (names::ATTEMPTS, "0"),
        (names::REASON, crate::ReasonKind::Unreadable.as_str()),
        (names::DETAIL, cut(detail)),
    ] {
        put(&mut headers, name, value);
    }
    // A person must be able to name it.
    let id = incoming.properties.message_id().as_ref().and_then(|id| MessageId::new(id.as_str()).ok());
    let id = id.unwrap_or_else(MessageId::generate);
    let properties = moved(&incoming.properties, headers, &id);
    frames::check_moved(&properties)?;
    Ok(to_queue(&names::dead(group), properties, incoming.data.clone().into(), id))
}

/// The properties of a message that another program may have sent, for us to send with other headers.
///
/// Made anew rather than copied: it may carry a time to live, by which it would vanish, or a user that the broker does not let us speak for.
pub(super) fn moved(properties: &BasicProperties, headers: FieldTable, id: &MessageId) -> BasicProperties {
    let mut moved = BasicProperties::default()
        .with_delivery_mode(encode::PERSISTENT)
        .with_headers(headers)
        .with_message_id(names::short(id.as_str()));
    if let Some(content_type) = properties.content_type() {
        moved = moved.with_content_type(content_type.clone());
    }
    if let Some(encoding) = properties.content_encoding() {
        moved = moved.with_content_encoding(encoding.clone());
    }
    if let Some(kind) = properties.kind() {
        moved = moved.with_type(kind.clone());
    }
    if let Some(time) = properties.timestamp() {
        moved = moved.with_timestamp(*time);
    }
    moved
}

/// A message that rests on a rung before its group gets it again.
pub(super) fn put_off(item: &Item, rung: &str) -> Result<Outgoing, BusError> {
    let Item { message, slot, attempt, .. } = item;
    let attempts = attempt.to_string();
    let extra = [(names::TOPIC, message.topic().as_str()), (names::ATTEMPTS, &attempts)];
    let properties = encode::properties(message, slot.as_deref(), &extra)?;
    frames::check_moved(&properties)?;
    Ok(to_queue(rung, properties, message.body().clone(), message.id().clone()))
}

/// A message to its partition, by the slot in its headers.
pub(super) fn to_partition(
    group: &str,
    properties: BasicProperties,
    body: bytes::Bytes,
    id: MessageId,
) -> Outgoing {
    Outgoing { name: names::short(&names::partitions(group)), ..to_queue(group, properties, body, id) }
}

/// A message for one group alone, to the partition of its key if the group is spread.
pub(super) fn to_group(message: &Message, group: &str, spread: bool) -> Result<Outgoing, BusError> {
    let slot = message.key().map(partitions::slot);
    let extra = [(names::TOPIC, message.topic().as_str())];
    let properties = encode::properties(message, slot.as_deref(), &extra)?;
    frames::check_published(&properties, message.is_replayed())?;
    let send = if spread { to_partition } else { to_queue };
    Ok(send(group, properties, message.body().clone(), message.id().clone()))
}

/// A message to one queue, through the exchange that the broker has for that. It must be there.
pub(super) fn to_queue(
    queue: &str,
    properties: BasicProperties,
    body: bytes::Bytes,
    id: MessageId,
) -> Outgoing {
    Outgoing {
        exchange: None,
        name: names::short(""),
        routing_key: names::short(queue),
        mandatory: true,
        properties,
        body,
        id,
    }
}

pub(super) fn put(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(names::short(name), AMQPValue::LongString(value.into()));
}

/// Details come from errors, which may print anything, and a letter has to fit into a frame.
fn cut(detail: &str) -> &str {
    const MAX: usize = 4 * 1024;
    let mut end = detail.len().min(MAX);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    &detail[..end]
}
