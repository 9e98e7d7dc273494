//! The ladder of queues in which messages rest before they are tried again. It needs no plugin.
//!
//! A queue of the broker lets messages expire only at its head, so each rung has one constant time. A message that is put off is published to the
//! first rung that is long enough; when its time is up the broker sends it back to the queue of the group, or to the partition of its key, and to no other group.

use std::time::Duration;

const SHORTEST_MILLIS: u64 = 50;
/// About 1.8 hours at the top: 50 ms doubled 17 times.
const RUNGS: u32 = 18;

/// How long a message that is to be put off for `delay` rests: as long or up to twice as long, and at most the longest rung.
pub(super) fn rung(delay: Duration) -> u64 {
    let wanted = u64::try_from(delay.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    (0..RUNGS).map(|step| SHORTEST_MILLIS << step).find(|millis| *millis >= wanted).unwrap_or(LONGEST_MILLIS)
}

const LONGEST_MILLIS: u64 = SHORTEST_MILLIS << (RUNGS - 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_long_enough_and_not_twice_too_long() {
        for (delay, wanted) in [
            (Duration::from_nanos(1), 50),
            (Duration::from_millis(50), 50),
            (Duration::from_micros(50_001), 100),
            (Duration::from_millis(500), 800),
            (Duration::from_secs(3600), 6_553_600),
            (Duration::MAX, 6_553_600),
        ] {
            assert_eq!(rung(delay), wanted, "{delay:?}");
        }
    }
}
