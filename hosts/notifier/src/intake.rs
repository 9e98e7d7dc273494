//! Where a notification that came by HTTP goes: onto the bus, or straight into the history when there is no bus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tbx_bus::{Message, Publisher};
use tbx_notify::history::History;
use tbx_notify::{EventName, Notification};

/// How long the way may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The way into the history.
#[derive(Clone)]
#[non_exhaustive]
pub enum Intake {
    /// Through the bus, whose group the notifiers consume.
    Bus(Arc<dyn Publisher>),
    /// Straight.
    History(Arc<dyn History>),
}

/// A notification did not find its way.
#[derive(Debug)]
pub struct IntakeError(Box<dyn std::error::Error + Send + Sync>);

impl Intake {
    /// Takes a notification; returns when it is safe.
    ///
    /// # Errors
    ///
    /// When it is not known to be safe.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it taken or not.
    pub async fn take(&self, message: Message) -> Result<(), IntakeError> {
        tokio::time::timeout(TIMEOUT, self.try_take(message))
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()))
            .map_err(IntakeError)
    }

    async fn try_take(&self, message: Message) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::Bus(publisher) => {
                let receipt = publisher.publish(message).await?;
                // A bus that forgets with its process has it safe only when the notifier is done with it.
                match publisher.capabilities().settles_on {
                    tbx_bus::SettlesOn::Accepted => {
                        receipt.accepted().await?;
                    }
                    _ => {
                        let letters = receipt.finished().await?.into_dead_letters();
                        if let Some(letter) = letters.first() {
                            return Err(letter.reason.to_string().into());
                        }
                    }
                }
            }
            Self::History(history) => {
                let event = EventName::new(message.kind())?;
                let (id, topic) = (message.id().clone(), message.topic().clone());
                history.append(Notification::new(id, topic, event, message.body().clone())?).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the notification was not taken")
    }
}

impl std::error::Error for IntakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bus(_) => "Intake::Bus",
            Self::History(_) => "Intake::History",
        })
    }
}
