//! Asking where a history stands, without following it.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tbx_notify::Position;
use tbx_notify::history::{RedisHead, RedisHistoryOptions, Retention};
use tbx_services::{Keyspace, Relay};

use super::{Node, within};

/// A history, and a slow way to it, so that connecting takes a while.
struct Place {
    keys: Keyspace,
    relay: Relay,
    position: Position,
}

impl Place {
    async fn new() -> Self {
        let keys = Keyspace::new();
        let position = Node::new(&keys).await.tell("a", "there").await;
        let relay = Relay::start(keys.address()).await;
        relay.delay(Duration::from_millis(10));
        Self { keys, relay, position }
    }

    /// One that was never asked.
    fn head(&self) -> RedisHead {
        let url = self.keys.url_through(&self.relay);
        RedisHead::new(&RedisHistoryOptions::new(url, Retention::default()).with_prefix(self.keys.prefix()))
            .unwrap()
    }
}

// A busy machine may not be answered in time, which is no fault: it is tried again with a fresh one.

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_while_somebody_connects_is_answered_by_the_same_connection() {
    within(async {
        loop {
            let place = Place::new().await;
            let head = place.head();
            let answers: Result<Vec<_>, _> =
                join_all((0..8).map(|_| head.read())).await.into_iter().collect();
            if let Ok(positions) = answers {
                assert_eq!(positions, [Some(place.position); 8]);
                assert_eq!(place.relay.accepted(), 1);
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_waiting_for_the_connection_does_not_take_it_from_the_next() {
    let place = Place::new().await;
    within(async {
        loop {
            let head = place.head();
            assert!(head.read().now_or_never().is_none(), "it is connecting");
            if let Ok(position) = head.read().await {
                assert_eq!(position, Some(place.position));
                return;
            }
        }
    })
    .await;
}
