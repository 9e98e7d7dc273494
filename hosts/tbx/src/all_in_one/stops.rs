//! The order of ending.

use tokio_util::sync::CancellationToken;

/// The stop runs along the road, each part ending after the one that feeds it: no request is cut off, nothing that was handed over is left without
/// an outcome, and what is not handed over waits in the outbox for the next start.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// The listeners take nothing new and drain.
    pub(super) intake: CancellationToken,
    /// Api and notifier have drained: the relay hands over no more and waits for what is under way.
    pub(super) relay: CancellationToken,
    /// The relay has ended: worker and bridge have nothing left to do.
    pub(super) consumers: CancellationToken,
    /// What looks on.
    pub(super) watchers: CancellationToken,
}

impl Stops {
    pub(super) fn begin(&self) {
        self.intake.cancel();
        self.watchers.cancel();
    }

    /// After a failure nobody can be waited for.
    pub(super) fn all(&self) {
        self.begin();
        self.relay.cancel();
        self.consumers.cancel();
    }
}

/// Runs `part` to its end, then stops the next on the road, unless others hold its stop too.
pub(super) async fn then_drop<S>(part: impl Future<Output = ()>, stop_next: S) {
    part.await;
    drop(stop_next);
}
