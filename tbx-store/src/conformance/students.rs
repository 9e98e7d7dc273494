//! What every store of students does, on top of an outbox: the suite of `tbx-core`, reading what was told from the outbox.
//!
//! A backend's author implements [`StoredStudents`] and stamps the suite:
//!
//! ```text
//! tbx_store::students_conformance! {
//!     harness: MyHarness::start().await,
//! }
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tbx_core::conformance::students::StudentsHarness;
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL, StudentMessage, notification_id};
use tbx_core::{EventId, StudentEvent, Students};

#[doc(hidden)]
pub use tbx_core;

/// A store without students, with an outbox that nobody relays.
#[async_trait]
pub trait StoredStudents: Send + Sync {
    /// The store.
    fn students(&self) -> Arc<dyn Students>;

    /// The bodies of what was appended to a channel of its outbox, oldest first.
    async fn bodies(&self, channel: &str) -> Vec<Bytes>;
}

/// A store as the suite of `tbx-core` sees it.
#[derive(Debug)]
pub struct OnOutbox<H>(pub H);

impl<H: StoredStudents> OnOutbox<H> {
    async fn messages(&self, channel: &str) -> Vec<StudentMessage> {
        let bodies = self.0.bodies(channel).await;
        bodies.iter().map(|body| serde_json::from_slice(body).expect("a published form")).collect()
    }
}

#[async_trait]
impl<H: StoredStudents> StudentsHarness for OnOutbox<H> {
    fn students(&self) -> Arc<dyn Students> {
        self.0.students()
    }

    async fn emitted(&self) -> Vec<StudentEvent> {
        let messages = self.messages(EVENTS_CHANNEL).await;
        messages.into_iter().map(|message| StudentEvent::try_from(message).expect("an event")).collect()
    }

    async fn notified(&self) -> Vec<EventId> {
        let events = self.emitted().await;
        let event_of = |notification: &StudentMessage| {
            let told = |event: &&StudentEvent| notification_id(event.id) == notification.id;
            events.iter().find(told).expect("the event of the notification").id
        };
        self.messages(NOTIFICATIONS_CHANNEL).await.iter().map(event_of).collect()
    }
}

/// Stamps one test per behaviour; see [`conformance::students`](crate::conformance::students).
#[macro_export]
macro_rules! students_conformance {
    (harness: $harness:expr $(,)?) => {
        $crate::conformance::students::tbx_core::students_conformance!(async {
            $crate::conformance::students::OnOutbox($harness)
        });
    };
}
