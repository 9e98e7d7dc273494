//! Groups whose keys are spread over several queues.
//!
//! Every message with a key says in a header in which of 16 slots its key is. The patterns of the group are bound to a headers exchange of the group's own,
//! and each slot there to one of the queues. What has no slot, which is what has no key and what foreign publishers wrote, finds no binding, and
//! goes by an alternate exchange to the first queue, where it keeps its order too.
//!
//! The broker has an exchange that hashes by itself, `x-consistent-hash`. It numbers its queues in the order in which they are bound, and after a
//! restart anew, in whatever order its workers come to the bindings: then keys are in other queues than before, and overtake themselves.

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::bus::on_channel;
use super::{Exchange, RabbitMq, declare, error, names};
use crate::{BusError, Group};

/// How many slots there are, and so how many partitions at most. The broker compares that many bindings for each message of such a group. Every
/// publisher must agree, so it never changes.
pub(super) const SLOTS: u32 = 16;

/// The slot of a key, as the header says it.
pub(super) fn slot(key: &str) -> String {
    (declare::fnv1a(key.as_bytes()) % u64::from(SLOTS)).to_string()
}

/// Whether a header says a slot as we say it; foreign publishers may write anything.
pub(super) fn is_slot(text: &str) -> bool {
    text.len() <= 2 && text.parse::<u32>().is_ok_and(|slot| slot < SLOTS && slot.to_string() == text)
}

/// Whether a group has more than one queue.
pub(super) fn is_spread(group: &Group) -> bool {
    group.partitions() > 1
}

/// The queues of a group, the one with its own name first.
pub(super) fn queues(group: &Group) -> Vec<String> {
    (0..group.partitions()).map(|index| names::partition(group.name(), index)).collect()
}

/// Declares the exchanges of a group that is spread.
pub(super) async fn exchanges(channel: &Channel, group: &Group) -> Result<(), BusError> {
    without_slot(channel, group).await?;
    by_slot(channel, group).await
}

/// Declares the exchange of what has no slot.
pub(super) async fn without_slot(channel: &Channel, group: &Group) -> Result<(), BusError> {
    let name = names::without_slot(group.name());
    declare::any_exchange(channel, &name, ExchangeKind::Fanout, lasts(group), FieldTable::default()).await
}

/// Declares the exchange that gives each slot to its queue.
pub(super) async fn by_slot(channel: &Channel, group: &Group) -> Result<(), BusError> {
    let mut arguments = FieldTable::default();
    let rest = names::without_slot(group.name());
    arguments.insert("alternate-exchange".into(), AMQPValue::LongString(rest.into()));
    let name = names::partitions(group.name());
    declare::any_exchange(channel, &name, ExchangeKind::Headers, lasts(group), arguments).await
}

fn lasts(group: &Group) -> bool {
    group.expiry().is_none()
}

/// Declares how messages come to the queues of a group, which exist.
pub(super) async fn bind(channel: &Channel, from: &Exchange, group: &Group) -> Result<(), BusError> {
    exchanges(channel, group).await?;
    let name = names::partitions(group.name());
    let queues = queues(group);
    declare::bind_one(channel, group.name(), &names::without_slot(group.name()), "").await?;
    for (slot, queue) in (0..SLOTS).zip(queues.iter().cycle()) {
        let mut wanted = FieldTable::default();
        wanted.insert("x-match".into(), AMQPValue::LongString("all".into()));
        wanted.insert(names::short(names::SLOT), AMQPValue::LongString(slot.to_string().into()));
        let (queue, name) = (names::short(queue), names::short(&name));
        let bound = channel.queue_bind(queue, name, "".into(), QueueBindOptions::default(), wanted);
        bound.await.map_err(|error| error::of_channel(error, format!("binding slot {slot}")))?;
    }
    // Not before every slot has its queue: what came earlier would be in the first.
    for pattern in group.patterns() {
        for source in declare::sources(from, pattern, group.takes_private_topics()) {
            let bound = channel.exchange_bind(
                names::short(&name),
                names::short(source),
                names::short(pattern.as_str()),
                ExchangeBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.map_err(|error| {
                error::of_channel(error, format!("binding exchange `{name}` to `{source}`"))
            })?;
        }
    }
    Ok(())
}

/// Whether the group of that name, of which nothing else is known, is spread.
pub(super) async fn are_there(rabbit: &RabbitMq, group: &str) -> Result<bool, BusError> {
    let name = names::short(&names::partitions(group));
    let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let (_, _, found) = on_channel(rabbit, "looking for partitions", async |channel| {
        let kind = ExchangeKind::Headers;
        match channel.exchange_declare(name, kind, passive, FieldTable::default()).await {
            Ok(()) => Ok(true),
            Err(error) if error::is_missing(&error) => Ok(false),
            Err(error) => Err(error::of_channel(error, "looking for partitions")),
        }
    })
    .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_is_the_same_in_every_version_of_every_program() {
        assert_eq!(["", "a", "key-1", "größe"].map(slot), ["5", "12", "6", "10"]);
    }

    #[test]
    fn the_first_queue_has_the_name_of_the_group() {
        let group = Group::new("readers", []).with_partitions(3);
        assert_eq!(queues(&group), ["readers", "readers.partition.1", "readers.partition.2"]);
    }
}
