//! Groups whose keys are spread over several queues.
//!
//! The patterns of the group are bound to an exchange of the group's own, of the type `x-consistent-hash` that comes with the broker as a plugin. It
//! takes the partition key of each message and gives it to one of the queues; messages without one go to the same queue, whichever it is.
//!
//! The exchange numbers its queues in the order in which they are bound, and after a restart of the broker in the order of their names. A key stays
//! in its queue only if both are one, so names are made to sort, and bound in that order before the first message can come.

use std::sync::atomic::Ordering;

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::bus::{on_channel, within};
use super::dial::{Dialled, dial};
use super::error::{self, DialError};
use super::state::Role;
use super::{Exchange, RabbitMq, RabbitOptions, declare, names};
use crate::time::from_now;
use crate::{BusError, BusErrorKind, Group};

const KIND: &str = "x-consistent-hash";
/// What the exchange looks at: the attribute `partitionkey` of CloudEvents, which foreign publishers may write too.
const HASHED_HEADER: &str = "cloudEvents_partitionkey";
/// Each queue has one share of the keys; the routing key of its binding says so.
const WEIGHT: &str = "1";

/// As many as names can be sorted for. A broker with so many queues for one group has other worries.
pub(super) const MAX: u32 = 256;

pub(super) fn kind() -> ExchangeKind {
    ExchangeKind::Custom(KIND.to_owned())
}

/// The queues of a group, the one with its own name first; in the order of their names.
pub(super) fn queues(group: &Group) -> Vec<String> {
    (0..group.partitions()).map(|index| names::partition(group.name(), index)).collect()
}

/// Whether a group has an exchange that spreads its messages.
pub(super) fn is_spread(group: &Group) -> bool {
    group.partitions() > 1
}

/// Makes sure that the broker can spread messages.
///
/// A broker without the plugin ends the whole connection of whoever declares such an exchange. So it is asked once on a connection of its own, by an
/// exchange that is deleted again.
pub(super) async fn need_plugin(rabbit: &RabbitMq, group: &Group) -> Result<(), BusError> {
    let known = &rabbit.0.can_spread;
    if !is_spread(group) || known.load(Ordering::Relaxed) {
        return Ok(());
    }
    let options = &rabbit.0.options;
    let asking = ask(options, group.name());
    within(from_now(options.publish_timeout), "asking for the plugin of partitions", asking).await?;
    known.store(true, Ordering::Relaxed);
    Ok(())
}

async fn ask(options: &RabbitOptions, group: &str) -> Result<(), BusError> {
    let Dialled { connection, hold: _hold } =
        dial(options, Role::Consuming).await.map_err(DialError::into_bus_error)?;
    let failed = |error: lapin::Error| without_plugin(error, group);
    let channel = connection.create_channel().await.map_err(failed)?;
    let name = names::short(&format!("{}.probe", names::partitions(group)));
    let transient = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(name.clone(), kind(), transient, arguments()).await.map_err(failed)?;
    channel.exchange_delete(name, ExchangeDeleteOptions::default()).await.map_err(failed)?;
    // It ends in any case.
    let _ = connection.close(200, "asked".into()).await;
    Ok(())
}

fn without_plugin(error: lapin::Error, group: &str) -> BusError {
    if !error::is_unknown_type(&error) {
        return error::of_channel(error, "asking for the plugin of partitions");
    }
    let context = format!(
        "the broker has no exchanges of type `{KIND}`, which group `{group}` needs for its partitions; enable them with \
         `rabbitmq-plugins enable rabbitmq_consistent_hash_exchange`, or give the group one partition"
    );
    error::with_driver(BusErrorKind::Declaration, context, error)
}

fn arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("hash-header".into(), AMQPValue::LongString(HASHED_HEADER.into()));
    arguments
}

/// Declares the exchange of a group that is spread.
pub(super) async fn exchange(channel: &Channel, group: &Group) -> Result<(), BusError> {
    let lasts = group.expiry().is_none();
    declare::any_exchange(channel, &names::partitions(group.name()), kind(), lasts, arguments()).await
}

/// Declares how messages come to the queues of a group, which exist.
pub(super) async fn bind(channel: &Channel, from: &Exchange, group: &Group) -> Result<(), BusError> {
    exchange(channel, group).await?;
    let name = names::partitions(group.name());
    for queue in queues(group) {
        declare::bind_one(channel, &queue, &name, WEIGHT).await?;
    }
    // Not before all queues are there: a key would move when the next one comes.
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
    let name = names::partitions(group);
    let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let (_, _, found) = on_channel(rabbit, "looking for partitions", async |channel| {
        match channel.exchange_declare(names::short(&name), kind(), passive, FieldTable::default()).await {
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
    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError};

    use super::*;

    #[test]
    fn the_queues_of_a_group_are_in_the_order_of_their_names() {
        let group = Group::new("readers", []).with_partitions(MAX);
        let queues = queues(&group);
        assert_eq!(queues[..3], ["readers", "readers.partition.001", "readers.partition.002"]);
        assert!(queues.is_sorted());
    }

    #[test]
    fn a_missing_plugin_is_told_with_the_command_that_enables_it() {
        // As 3.10 says it, ending the connection.
        let told = AMQPError::new(
            AMQPErrorKind::Hard(AMQPHardError::COMMANDINVALID),
            "COMMAND_INVALID - unknown exchange type 'x-consistent-hash'".into(),
        );
        let error = without_plugin(lapin::ErrorKind::ProtocolError(told).into(), "readers");
        assert_eq!(error.kind(), BusErrorKind::Declaration);
        for part in ["group `readers`", "`rabbitmq-plugins enable rabbitmq_consistent_hash_exchange`"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
