//! The end: readers leave a few at a time, so that they do not all come back at once.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::tail::Hub;

/// How often some readers are told to leave.
const STEP: Duration = Duration::from_millis(50);
/// How many leave at once however short the time is: closing so few is no storm.
const AT_LEAST: usize = 32;

/// Who waits until everyone is gone.
#[derive(Debug, Default)]
pub(super) struct Departures {
    gone: Notify,
    connections: TaskTracker,
}

impl Departures {
    /// The last reader is gone.
    pub(super) fn all_gone(&self) {
        self.gone.notify_waiters();
    }

    /// The tasks of connections that the crate has spawned itself.
    #[cfg(feature = "websocket")]
    pub(super) fn connections(&self) -> &TaskTracker {
        &self.connections
    }
}

impl Hub {
    /// Tells every reader to leave, spread evenly over a time, and returns when all are gone and their connections are closed. Few readers leave at
    /// once. No new ones are admitted.
    ///
    /// Give it a deadline of your own: a client that does not read leaves late.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has told some of them; another call goes on with the rest, as does [`close`](Self::close).
    pub async fn drain(&self, over: Duration) {
        self.stop_admitting();
        let readers = self.shared().everyone().cells();
        let steps = usize::try_from(over.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX).max(1);
        let mut waves = readers.chunks(readers.len().div_ceil(steps).max(AT_LEAST)).peekable();
        while let Some(wave) = waves.next() {
            wave.iter().for_each(|reader| reader.dismiss());
            if waves.peek().is_some() {
                tokio::time::sleep(STEP).await;
            }
        }
        let departures = &self.shared().departures;
        loop {
            let gone = departures.gone.notified();
            if self.readers() == 0 {
                break;
            }
            gone.await;
        }
        departures.connections.close();
        departures.connections.wait().await;
    }
}
