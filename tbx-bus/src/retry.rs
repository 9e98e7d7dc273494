//! How long to wait between attempts, and when to stop.

use std::time::Duration;

/// Waiting times that double from a base to a ceiling, with jitter.
///
/// Use a named preset and change what differs:
///
/// | preset | waits | for |
/// |---|---|---|
/// | [`fast`](Self::fast) | 10 ms … 1 s | a conflict, a lock, an in-process neighbour |
/// | [`standard`](Self::standard) | 100 ms … 10 s | a service on the network |
/// | [`patient`](Self::patient) | 1 s … 5 min | something that is down |
/// | [`for_test`](Self::for_test) | 1 ms, no jitter | tests |
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Backoff {
    base: Duration,
    ceiling: Duration,
    jitter: f64,
}

impl Backoff {
    /// 10 ms, doubling to 1 s.
    pub const fn fast() -> Self {
        Self { base: Duration::from_millis(10), ceiling: Duration::from_secs(1), jitter: 0.25 }
    }

    /// 100 ms, doubling to 10 s.
    pub const fn standard() -> Self {
        Self { base: Duration::from_millis(100), ceiling: Duration::from_secs(10), jitter: 0.25 }
    }

    /// 1 s, doubling to 5 min.
    pub const fn patient() -> Self {
        Self { base: Duration::from_secs(1), ceiling: Duration::from_secs(300), jitter: 0.25 }
    }

    /// Always 1 ms.
    pub const fn for_test() -> Self {
        Self { base: Duration::from_millis(1), ceiling: Duration::from_millis(1), jitter: 0.0 }
    }

    /// From `base`, doubling to `ceiling`.
    pub const fn between(base: Duration, ceiling: Duration) -> Self {
        Self { base, ceiling, jitter: 0.25 }
    }

    /// How far a wait may differ from its nominal length, as a share of it, from 0 to 1.
    pub const fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter.clamp(0.0, 1.0);
        self
    }

    /// The wait after the `failures`-th failure in a row (from 1), jittered by `random` in `0.0..1.0`.
    #[must_use]
    pub fn delay_with(&self, failures: u32, random: f64) -> Duration {
        let doubled =
            2_u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| self.base.checked_mul(factor));
        let nominal = doubled.map_or(self.ceiling, |delay| delay.min(self.ceiling));
        nominal.mul_f64(1.0 + self.jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0))
    }

    /// The wait after the `failures`-th failure in a row (from 1).
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        self.delay_with(failures, fastrand::f64())
    }
}

/// How often a message is tried and how long to wait in between.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct RetryPolicy {
    max_attempts: u32,
    backoff: Backoff,
}

impl RetryPolicy {
    /// Five attempts with [`Backoff::standard`].
    pub const fn standard() -> Self {
        Self { max_attempts: 5, backoff: Backoff::standard() }
    }

    /// Three attempts with [`Backoff::for_test`].
    pub const fn for_test() -> Self {
        Self { max_attempts: 3, backoff: Backoff::for_test() }
    }

    /// One attempt.
    pub const fn never() -> Self {
        Self { max_attempts: 1, backoff: Backoff::for_test() }
    }

    /// How often a message is tried in all; at least 1.
    pub const fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// How long to wait in between.
    pub const fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How often a message is tried in all.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The waiting times.
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_within_the_ceiling_and_its_jitter(failures in 0_u32..100, random in 0.0..1.0) {
            let backoff = Backoff::standard();
            let delay = backoff.delay_with(failures, random);
            prop_assert!(delay >= Duration::from_millis(75));
            prop_assert!(delay <= Duration::from_millis(12_500));
        }
    }

    #[test]
    fn waits_double() {
        let backoff = Backoff::fast().with_jitter(0.0);
        let waits: Vec<u128> = (1..=9).map(|n| backoff.delay(n).as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
