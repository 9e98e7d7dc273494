//! Where published notifications go.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use http::request::Parts;

use crate::Notification;
use crate::history::History;

/// Where published notifications go: a history, or a bus that leads to one.
#[async_trait]
pub trait NotificationSink: Send + Sync + 'static {
    /// Takes a notification and returns once it is safe. `request` is what it came with.
    ///
    /// # Errors
    ///
    /// When it is not known to be safe. The client is told to try again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it taken or not.
    async fn take(&self, notification: Notification, request: &Parts) -> Result<(), NotTaken>;
}

/// A notification that is not known to be safe, with the cause. It is logged; the client does not see it.
#[derive(Debug, thiserror::Error)]
#[error("the notification was not taken")]
pub struct NotTaken(#[source] Box<dyn Error + Send + Sync>);

impl NotTaken {
    /// Not taken for this reason.
    #[must_use]
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

#[async_trait]
impl<H: History + ?Sized + 'static> NotificationSink for Arc<H> {
    async fn take(&self, notification: Notification, _: &Parts) -> Result<(), NotTaken> {
        self.append(notification).await.map(|_| ()).map_err(NotTaken::new)
    }
}
