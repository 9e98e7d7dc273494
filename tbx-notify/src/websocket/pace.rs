//! How many messages a client may send.

use std::time::Duration;

use tokio::time::Instant;

/// A client may send so many at once, and then so many each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { burst: 128, per_second: 16 }
    }
}

/// Counts the messages of one client: as if each pushed a clock ahead of time, which may run ahead only so far.
#[derive(Debug)]
pub(super) struct Meter {
    ahead: Instant,
    step: Duration,
    tolerance: Duration,
}

impl Meter {
    pub(super) fn new(pace: Pace) -> Self {
        let step = Duration::from_secs(1) / pace.per_second.max(1);
        Self { ahead: Instant::now(), step, tolerance: step * pace.burst }
    }

    /// Counts a message; `false` when it is one too many.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.ahead = self.ahead.max(now) + self.step;
        self.ahead <= now + self.tolerance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_and_then_so_many_each_second() {
        let mut meter = Meter::new(Pace { burst: 10, per_second: 2 });
        let start = Instant::now();
        assert_eq!((0..100).take_while(|_| meter.count(start)).count(), 10);
        let mut meter = Meter::new(Pace { burst: 10, per_second: 2 });
        assert_eq!((0..10).filter(|_| meter.count(start)).count(), 10);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..10).take_while(|_| meter.count(later)).count(), 2);
    }
}
