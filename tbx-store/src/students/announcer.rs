//! Announcing cached students on a bus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::{Publisher, span};
use tbx_core::published::{NOTIFICATIONS_CHANNEL, StudentMessage};
use tbx_core::{AnnounceError, Announcer, Context, Student, StudentEvent};
use tracing::Instrument as _;

use super::message::message;

/// How long the bus may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes `student.cached` on the notifications bus.
#[derive(Clone)]
pub struct BusAnnouncer {
    notifications: Arc<dyn Publisher>,
}

impl BusAnnouncer {
    /// Announces on `notifications`.
    #[must_use]
    pub fn new(notifications: Arc<dyn Publisher>) -> Self {
        Self { notifications }
    }
}

#[async_trait]
impl Announcer for BusAnnouncer {
    async fn announce_cached(
        &self,
        cause: &StudentEvent,
        student: &Student,
        context: &Context,
    ) -> Result<(), AnnounceError> {
        let announcement = message(&StudentMessage::cached(cause, student, context.now), context)
            .map_err(|error| AnnounceError::new(Box::new(error)))?;
        let (announcement, sending) = span::sending(announcement, NOTIFICATIONS_CHANNEL);
        let accepted = async { self.notifications.publish(announcement).await?.accepted().await };
        let accepted = tokio::time::timeout(TIMEOUT, accepted).instrument(sending.clone()).await;
        let announced = match accepted {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(AnnounceError::new(error)),
            Err(elapsed) => Err(AnnounceError::new(elapsed)),
        };
        announced.inspect_err(|error| span::failed(&sending, error))
    }
}

impl fmt::Debug for BusAnnouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BusAnnouncer")
    }
}
