//! Time comes from outside: a [`Clock`] is passed in, and tests hold its hands.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::{NoContext, Timestamp, Uuid};

/// Tells the time.
///
/// Calls may come from any thread at once. A clock may step backwards, as a system clock does when it is set.
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved. Clones share their hands.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<DateTime<Utc>>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now: Arc::new(Mutex::new(now)) }
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves the clock forward. It stops at the last moment that can be told.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = chrono::TimeDelta::from_std(by)
            .ok()
            .and_then(|by| now.checked_add_signed(by))
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version 7 UUID of the given moment: ids sort by the time they were made, whichever clock told it.
pub(crate) fn uuid_at(now: DateTime<Utc>) -> Uuid {
    // A moment before 1970 has no place in the format; the epoch stands in for it.
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_with_it() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let clone = clock.clone();
        assert_eq!(clone.now(), DateTime::UNIX_EPOCH);

        clock.advance(Duration::from_secs(5));
        assert_eq!(clone.now().timestamp(), 5);

        clock.advance(Duration::MAX);
        assert_eq!(clone.now(), DateTime::<Utc>::MAX_UTC);

        clone.set(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
    }

    #[test]
    fn ids_carry_the_moment_they_were_made_at() {
        let earlier = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let later = DateTime::from_timestamp_millis(1_700_000_000_001).unwrap();
        assert!(uuid_at(earlier) < uuid_at(later));
        assert_eq!(uuid_at(earlier).get_version_num(), 7);
        assert_eq!(uuid_at(DateTime::<Utc>::MIN_UTC).get_version_num(), 7);
    }
}
