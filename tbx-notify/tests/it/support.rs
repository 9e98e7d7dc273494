//! What the tests share.

use std::sync::Arc;
use std::time::Duration;

use tbx_bus::{MessageId, Topic};
use tbx_notify::history::{History, MemoryHistory, Retention};
use tbx_notify::hub::{Hub, HubOptions, Next, Reader};
use tbx_notify::{EventName, Notification};
use tokio_util::sync::CancellationToken;

pub(crate) struct Fixture {
    pub(crate) history: Arc<MemoryHistory>,
    pub(crate) hub: Hub,
    _stop: tokio_util::sync::DropGuard,
}

pub(crate) fn fixture(kept: u64, options: HubOptions) -> Fixture {
    let retention = Retention { max_count: kept, max_age: Duration::from_secs(3600) };
    let history = Arc::new(MemoryHistory::new(retention));
    let hub = Hub::new(history.clone(), options);
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
        let (topic, event) = (Topic::new(topic).unwrap(), EventName::new("Happened").unwrap());
        let notification = Notification::new(MessageId::generate(), topic, event, body.to_owned()).unwrap();
        self.history.append(notification).await.unwrap().position.offset
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
