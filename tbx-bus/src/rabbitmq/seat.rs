//! One consumer's place at one queue.

use lapin::Channel;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::time::Instant;

use super::supervisor::Link;
use super::{error, names};
use crate::{BusError, Group};

/// A channel and what comes on it.
pub(super) struct Seat {
    pub(super) channel: Channel,
    pub(super) stream: lapin::Consumer,
    /// When it is to be taken anew, with room for more than one message.
    pub(super) careful_until: Option<Instant>,
}

impl Seat {
    /// Takes a seat, on a channel of its own, at a queue that exists.
    pub(super) async fn take(link: &Link, group: &Group, queue: &str) -> Result<Self, BusError> {
        let failed = |error| error::of_channel(error, format!("consuming from `{queue}`"));
        let channel = link.connection().create_channel().await.map_err(failed)?;
        let careful_until = link.careful_until();
        let prefetch = if careful_until.is_some() { 1 } else { group.prefetch() };
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
        let stream = channel
            .basic_consume(
                names::short(queue),
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(failed)?;
        Ok(Self { channel, stream, careful_until })
    }
}
