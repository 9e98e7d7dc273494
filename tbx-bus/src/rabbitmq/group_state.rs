//! What the queues of a group hold.

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::bus::on_channel;
use super::{RabbitMq, error, names, partitions};
use crate::{BusError, BusErrorKind, Group};

/// What the queues of a group hold, as the broker counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupState {
    /// Messages that no consumer has yet, in all partitions.
    pub waiting: u32,
    /// Consumers of all partitions; of a group with a single active one RabbitMQ counts only that.
    pub consumers: u32,
    /// Dead letters.
    pub dead: u32,
}

impl RabbitMq {
    /// Counts what is in the queues of a group: for gauges.
    ///
    /// # Errors
    ///
    /// [`Declaration`](BusErrorKind::Declaration) when there is no such group, or when the broker cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn group_state(&self, group: &Group) -> Result<GroupState, BusError> {
        let (_, _, state) = on_channel(self, "counting the messages of a group", async |channel| {
            let mut state = GroupState::default();
            for queue in partitions::queues(group) {
                let queue = count(channel, &queue).await?;
                state.waiting = state.waiting.saturating_add(queue.message_count());
                state.consumers = state.consumers.saturating_add(queue.consumer_count());
            }
            state.dead = count(channel, &names::dead(group.name())).await?.message_count();
            Ok(state)
        })
        .await?;
        Ok(state)
    }
}

async fn count(channel: &Channel, queue: &str) -> Result<lapin::Queue, BusError> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(names::short(queue), passive, FieldTable::default()).await;
    declared.map_err(|error| match error::is_missing(&error) {
        true => {
            BusError::new(BusErrorKind::Declaration, format!("there is no queue `{queue}` on this broker"))
        }
        false => error::of_channel(error, format!("counting the messages of `{queue}`")),
    })
}
