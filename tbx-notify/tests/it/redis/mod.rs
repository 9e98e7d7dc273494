//! The history in Redis, with several notifiers, and with a server that is away or has lost what it had.

mod chaos;
mod head;
mod losses;
mod outages;
mod refusals;
mod sharing;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tbx_notify::history::{History, RedisHistory, RedisHistoryOptions, Retention};
use tbx_notify::hub::{Fallback, Hub, HubOptions, Reader, Start};
use tbx_notify::{Position, TopicSet};
use tbx_services::{Keyspace, Relay};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::support::{notification, within};

/// One notifier.
struct Node {
    history: Arc<RedisHistory>,
    hub: Hub,
    _stop: DropGuard,
}

impl Node {
    async fn new(keys: &Keyspace) -> Self {
        Self::keeping(keys.url(), keys, 1_000).await
    }

    async fn behind(relay: &Relay, keys: &Keyspace) -> Self {
        Self::keeping(keys.url_through(relay), keys, 1_000).await
    }

    async fn keeping(url: String, keys: &Keyspace, max_count: u64) -> Self {
        let retention = Retention { max_count, max_age: Duration::from_secs(3600) };
        let options = RedisHistoryOptions::new(url, retention).with_prefix(keys.prefix());
        let history = Arc::new(RedisHistory::open(options).await.unwrap());
        let hub = Hub::new(history.clone(), HubOptions::default());
        let stop = CancellationToken::new();
        tokio::spawn(hub.clone().run(stop.clone()));
        Self { history, hub, _stop: stop.drop_guard() }
    }

    async fn tell(&self, topic: &str, body: &str) -> Position {
        self.history.append(notification(topic, body)).await.unwrap().position
    }

    /// Tells however long it takes, as a bus does.
    async fn tell_in_the_end(&self, topic: &str, body: &str) -> Position {
        let notification = notification(topic, body);
        loop {
            if let Ok(appended) = within(self.history.append(notification.clone())).await {
                return appended.position;
            }
        }
    }

    fn read(&self, topics: &str, start: Start) -> Reader {
        self.hub.read(TopicSet::parse(topics).unwrap(), start).unwrap()
    }

    fn resume(&self, topics: &str, position: Position) -> Reader {
        self.read(topics, Start::After { position: position.to_string(), otherwise: Fallback::Head })
    }

    /// Waits until it has read up to an offset.
    async fn reached(&self, offset: u64) {
        let mut newest = self.history.newest();
        within(newest.wait_for(|newest| *newest >= offset)).await.unwrap();
    }

    /// Waits until `condition` holds for it.
    async fn eventually(&self, condition: impl Fn(&RedisHistory) -> bool) {
        within(async {
            while !condition(&self.history) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
