//! What the suite needs of a backend, and the steps its cases share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::{MessageId, Topic};

use crate::history::History;
use crate::{EventName, Notification};

/// A history under test, which starts empty and keeps 10 entries, each for an hour.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The history.
    fn history(&self) -> Arc<dyn History>;

    /// Moves the clock that the history goes by.
    fn advance(&mut self, by: Duration);

    /// Whether a reopened history is the same.
    fn is_durable(&self) -> bool;

    /// Ends the history and opens it again, as a restart does.
    async fn reopen(&mut self);
}

/// The retention that a harness sets.
pub(super) const KEPT: u64 = 10;
pub(super) const KEPT_FOR: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn notification(topic: &str) -> Notification {
    numbered(topic, 0)
}

pub(super) fn numbered(topic: &str, number: usize) -> Notification {
    let topic = Topic::new(topic).unwrap();
    let event = EventName::new("Happened").unwrap();
    Notification::new(MessageId::generate(), topic, event, format!("{{\"number\":{number}}}")).unwrap()
}

/// Appends one notification under each topic; gives the offsets.
pub(super) async fn append_all(history: &Arc<dyn History>, topics: &[&str]) -> Vec<u64> {
    let mut offsets = Vec::new();
    for topic in topics {
        offsets.push(history.append(notification(topic)).await.unwrap().position.offset);
    }
    offsets
}

/// Looks until `condition` holds: trimming happens in a history's own time.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let looking = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.expect(what);
}
