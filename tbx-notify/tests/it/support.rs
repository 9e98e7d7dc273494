//! What the tests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::{MessageId, Topic};
use tbx_notify::history::{Appended, Bounds, History, HistoryError, Matching, MemoryHistory, Retention};
use tbx_notify::hub::{Hub, HubOptions, Next, Reader};
use tbx_notify::{Entry, EventName, Notification, TopicSet};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) struct Fixture {
    pub(crate) history: Arc<MemoryHistory>,
    pub(crate) hub: Hub,
    _stop: tokio_util::sync::DropGuard,
}

pub(crate) fn fixture(kept: u64, options: HubOptions) -> Fixture {
    let retention = Retention { max_count: kept, max_age: Duration::from_secs(3600) };
    let history = Arc::new(MemoryHistory::new(retention));
    fixture_over(history.clone(), history, options)
}

/// Its hub sees `history` through `seen`.
pub(crate) fn fixture_over(
    history: Arc<MemoryHistory>,
    seen: Arc<dyn History>,
    options: HubOptions,
) -> Fixture {
    let hub = Hub::new(seen, options);
    let stop = CancellationToken::new();
    tokio::spawn(hub.clone().run(stop.clone()));
    Fixture { history, hub, _stop: stop.drop_guard() }
}

impl Fixture {
    /// Appends; the body is the number.
    pub(crate) async fn tell(&self, topic: &str, number: usize) -> u64 {
        self.tell_body(topic, &number.to_string()).await
    }

    pub(crate) async fn tell_body(&self, topic: &str, body: &str) -> u64 {
        self.history.append(notification(topic, body)).await.unwrap().position.offset
    }

    /// Waits until readers have everything.
    pub(crate) async fn flowed(&self) {
        let newest = self.history.bounds().newest;
        within(async {
            while self.hub.head().offset < newest {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

pub(crate) fn notification(topic: &str, body: &str) -> Notification {
    let (topic, event) = (Topic::new(topic).unwrap(), EventName::new("Happened").unwrap());
    Notification::new(MessageId::generate(), topic, event, body.to_owned()).unwrap()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// The bodies of the next `count` entries.
pub(crate) async fn bodies(reader: &mut Reader, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        match within(reader.next()).await {
            Next::Entry(entry) => {
                bodies.push(String::from_utf8(entry.notification().body().to_vec()).unwrap());
            }
            other => panic!("an entry was expected, not {other:?}"),
        }
    }
    bodies
}

/// A history in memory that can be away, and to which somebody else may append just after a reading.
pub(crate) struct Meddled {
    pub(crate) inner: Arc<MemoryHistory>,
    pub(crate) is_away: AtomicBool,
    pub(crate) appended_after_reading: Mutex<Option<Notification>>,
}

impl Meddled {
    pub(crate) fn new(kept: u64) -> Self {
        let retention = Retention { max_count: kept, max_age: Duration::from_secs(3600) };
        Self {
            inner: Arc::new(MemoryHistory::new(retention)),
            is_away: AtomicBool::new(false),
            appended_after_reading: Mutex::new(None),
        }
    }
}

#[async_trait]
impl History for Meddled {
    async fn append(&self, notification: Notification) -> Result<Appended, HistoryError> {
        self.inner.append(notification).await
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.inner.newest()
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, HistoryError> {
        self.inner.read(after, limit).await
    }

    async fn read_matching(
        &self,
        topics: &TopicSet,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Matching, HistoryError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(HistoryError::new("reading what is away"));
        }
        let found = self.inner.read_matching(topics, after, through, limit).await;
        let appended = self.appended_after_reading.lock().unwrap().take();
        if let Some(notification) = appended {
            self.inner.append(notification).await?;
        }
        found
    }

    fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        self.inner.has_trimmed(topics, after)
    }

    fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.inner.newest_of(topic)
    }

    async fn check(&self) -> Result<(), HistoryError> {
        self.inner.check().await
    }
}
