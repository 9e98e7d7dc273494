//! Deadlines that any duration can make.

use std::time::Duration;

use tokio::time::Instant;

/// Longer than any process runs, and well within what an [`Instant`] can hold.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// The instant after `delay`. `Duration::MAX`, said by those who mean "for ever", must not overflow.
pub(crate) fn from_now(delay: Duration) -> Instant {
    Instant::now() + delay.min(FAR)
}
