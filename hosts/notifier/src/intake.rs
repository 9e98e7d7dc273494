//! Where a notification that came by HTTP goes: onto the bus, or straight into the history when there is no bus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use poem::http::request::Parts;
use tbx_bus::{Message, Publisher, SettlesOn, TraceContext, span};
use tbx_core::published::NOTIFICATIONS_CHANNEL;
use tbx_notify::Notification;
use tbx_notify::history::History;
use tbx_notify::publish::{NotTaken, NotificationSink};
use tracing::Instrument as _;

/// How long the way may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const SOURCE: &str = "/notifications";

/// The way into the history.
#[derive(Clone)]
#[non_exhaustive]
pub enum Intake {
    /// Through the bus, whose group the notifiers consume.
    Bus(Arc<dyn Publisher>),
    /// Straight.
    History(Arc<dyn History>),
}

#[async_trait::async_trait]
impl NotificationSink for Intake {
    async fn take(&self, notification: Notification, request: &Parts) -> Result<(), NotTaken> {
        let taken = async {
            match self {
                Self::Bus(publisher) => hand_over(publisher.as_ref(), notification, request).await,
                Self::History(history) => {
                    let trace = request.extensions.get::<TraceContext>().cloned();
                    history.append(notification.with_trace(trace)).await.map(|_| ()).map_err(NotTaken::new)
                }
            }
        };
        tokio::time::timeout(TIMEOUT, taken).await.unwrap_or_else(|elapsed| Err(NotTaken::new(elapsed)))
    }
}

async fn hand_over(
    publisher: &dyn Publisher,
    notification: Notification,
    request: &Parts,
) -> Result<(), NotTaken> {
    // One key for each topic: its notifications keep their order.
    let (topic, key) = (notification.topic().clone(), notification.topic().to_string());
    let message = Message::new(topic, notification.event().as_str(), notification.body().clone())
        .with_id(notification.id().clone())
        .with_source(SOURCE)
        .with_trace(request.extensions.get::<TraceContext>().cloned())
        .with_key(&key)
        .map_err(NotTaken::new)?;
    let (message, sending) = span::sending(message, NOTIFICATIONS_CHANNEL);
    let published = publisher.publish(message).instrument(sending.clone()).await;
    let receipt = published.inspect_err(|error| span::failed(&sending, error)).map_err(NotTaken::new)?;
    drop(sending);
    // A bus that forgets with its process has it safe only when the notifier is done with it.
    if publisher.capabilities().settles_on == SettlesOn::Accepted {
        return receipt.accepted().await.map(|_| ()).map_err(NotTaken::new);
    }
    let letters = receipt.finished().await.map_err(NotTaken::new)?.into_dead_letters();
    letters.first().map_or(Ok(()), |letter| Err(NotTaken::new(letter.reason.to_string())))
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bus(_) => "Intake::Bus",
            Self::History(_) => "Intake::History",
        })
    }
}
