//! What the queues of a group hold.

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::bus::on_channel;
use super::{RabbitMq, error, names, partitions};
use crate::{BusError, BusErrorKind};

/// What the queues of a group hold, as the broker counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupState {
    /// Messages that no consumer has yet, in all partitions.
    pub waiting: u32,
    /// Consumers; of a group with a single active one RabbitMQ counts only that, of one with partitions it is that of the first.
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
    pub async fn group_state(&self, group: &str) -> Result<GroupState, BusError> {
        let (_, _, state) = on_channel(self, "counting the messages of a group", async |channel| {
            let queue = count(channel, group).await?;
            let letters = count(channel, &names::dead(group)).await?;
            Ok(GroupState {
                waiting: queue.message_count(),
                consumers: queue.consumer_count(),
                dead: letters.message_count(),
            })
        })
        .await?;
        if partitions::are_there(self, group).await? {
            return self.with_other_partitions(group, state).await;
        }
        Ok(state)
    }

    /// Adds what the other partitions of a group hold, until there is none of the next number.
    async fn with_other_partitions(&self, group: &str, first: GroupState) -> Result<GroupState, BusError> {
        let mut state = first;
        for index in 1..partitions::SLOTS {
            let queue = names::partition(group, index);
            let counted =
                on_channel(self, "counting a partition", async |channel| count(channel, &queue).await).await;
            match counted {
                Ok((_, _, queue)) => state.waiting = state.waiting.saturating_add(queue.message_count()),
                Err(error) if error.kind() == BusErrorKind::Declaration => break,
                Err(error) => return Err(error),
            }
        }
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
