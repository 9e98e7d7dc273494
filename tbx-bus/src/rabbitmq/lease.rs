//! Keeps the dead letters of a group with an expiry for as long as the group has consumers.
//!
//! Their queue has no consumers, and a broker counts neither declaring a quorum queue nor publishing to it as use; asking it for a message it does.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::BasicGetOptions;
use tokio_util::sync::CancellationToken;

use super::supervisor::Link;
use super::{declare, error, names};
use crate::{BusError, Group};

/// Renews, from now on and several times before it is due, until the consumer leaves or the connection is lost.
pub(super) async fn keep(
    link: Arc<Link>,
    group: Group,
    expiry: Duration,
    left: CancellationToken,
    closed: CancellationToken,
) {
    loop {
        tokio::select! {
            () = link.lost().cancelled() => return,
            renewed = renew(&link, &group) => if let Err(error) = renewed {
                tracing::warn!(group = group.name(), %error, "the dead letters of the group may expire");
            }
        }
        tokio::select! {
            () = left.cancelled() => return,
            () = closed.cancelled() => return,
            () = link.lost().cancelled() => return,
            () = tokio::time::sleep(expiry / 4) => {}
        }
    }
}

async fn renew(link: &Link, group: &Group) -> Result<(), BusError> {
    let failed = |error| error::of_channel(error, "keeping the dead letters");
    let channel = link.connection().create_channel().await.map_err(failed)?;
    declare::dead_letters(&channel, group).await?;
    channel
        .basic_get(names::short(&names::dead(group.name())), BasicGetOptions::default())
        .await
        .map_err(failed)?;
    // What was got goes back with the channel, in its place.
    channel.close(200, "seen".into()).await.map_err(failed)
}
