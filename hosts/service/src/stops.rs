//! The order of ending.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What each part behind the listeners may take to end.
pub const CLOSING: Duration = Duration::from_secs(5);

/// The stop runs along the road, each part ending after the one that feeds it: no request is cut off, nothing that was handed over is left without
/// an outcome, and what is not handed over waits in the outbox for the next start.
#[derive(Debug, Default)]
pub struct Stops {
    /// The listeners take nothing new and drain.
    pub intake: CancellationToken,
    /// Those who append to the outbox have drained: the relay hands over no more and waits for what is under way.
    pub relay: CancellationToken,
    /// Nothing more comes from the road before: worker and bridge end.
    pub consumers: CancellationToken,
    /// What looks on.
    pub watchers: CancellationToken,
}

impl Stops {
    /// Begins a stop in good order; the parts pass it on.
    pub fn begin(&self) {
        self.intake.cancel();
        self.watchers.cancel();
    }

    /// After a failure nobody can be waited for.
    pub fn all(&self) {
        self.begin();
        self.relay.cancel();
        self.consumers.cancel();
    }
}

/// Runs `part` to its end, then stops the next on the road, unless others hold its stop too.
pub async fn then_drop<S>(part: impl Future<Output = ()>, stop_next: S) {
    part.await;
    drop(stop_next);
}
