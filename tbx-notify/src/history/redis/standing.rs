//! Whether what Redis holds is what this process has seen, and what to do when it is not.
//!
//! Redis may lose its newest entries, or all: a restart without persistence, a failover to a replica that lagged, a flush. Offsets that were shown
//! must not come again for other entries, so the history gets a new epoch then, which begins above everything that was seen. Whoever notices
//! first does that, and the others find it done; one that has seen more than the new epoch allows for does it again.
//!
//! Nobody may miss what only another has seen: the history remembers up to which offset each former epoch was taken into account when it ended, and
//! who has seen more of one begins another epoch, so that all the others learn of it.
//!
//! A process goes on without a gap when it has seen all that Redis had: the new epoch begins exactly after its newest offset then. Otherwise at
//! least one offset lies between that nobody here has, so that every reader here is told.

use redis::Value;

use super::super::contract::HistoryError;
use super::log::Log;
use super::wire::{array, number, text};
use crate::Epoch;

/// The layout of the keys that this version reads and writes.
const FORMAT: &str = "1";

/// What Redis holds, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) epoch: Epoch,
    pub(super) newest: u64,
    pub(super) oldest: u64,
    pub(super) forgotten: u64,
    /// The offset that its epoch begins after, and what whoever began it had there; empty when that was nothing.
    floor: (u64, String),
    /// The last entry that was left when its epoch began: who has seen this one missed nothing before.
    left: (u64, String),
    /// Up to which offset each former epoch was taken into account.
    ended: Vec<(Epoch, u64)>,
    /// The last entry, be it of a former epoch: who has seen this one has seen all.
    reached: (u64, String),
    /// How many entries there are, those of former epochs too.
    count: u64,
    /// Whether the newest entry that the asker knows is there, or was trimmed.
    is_there: bool,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what this process has seen, or more.
    Same,
    /// There is a new epoch: go on there, after this offset.
    Adopt { epoch: Epoch, after: u64 },
    /// Begin a new epoch, if what was found is still there.
    Renew(Renewal),
}

/// A new epoch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Renewal {
    /// Epoch and newest offset that were found.
    pub(super) found: Option<(Epoch, u64)>,
    pub(super) begins_after: u64,
    /// What this process has there; empty when that is nothing.
    pub(super) begins_after_id: String,
    pub(super) reached: (u64, String),
    /// The epoch of the process that begins it.
    pub(super) own: Option<Epoch>,
}

impl Found {
    /// Reads the answer of the script; `None` when there is no history.
    pub(super) fn read(answer: Value) -> Result<Option<Self>, HistoryError> {
        let answer = array(answer)?;
        if answer.is_empty() {
            return Ok(None);
        }
        let mut parts = answer.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        let format = text(next())?;
        if format != FORMAT {
            return Err(HistoryError::new(format!(
                "its keys have the format {format}, and this version knows {FORMAT}; run one version, or choose another prefix"
            )));
        }
        Ok(Some(Self {
            epoch: Epoch::new(number(&next())?),
            newest: number(&next())?,
            oldest: number(&next())?,
            forgotten: number(&next())?,
            floor: (number(&next())?, text(next())?),
            left: (number(&next())?, text(next())?),
            ended: ended(&text(next())?),
            reached: (number(&next())?, text(next())?),
            count: number(&next())?,
            is_there: number(&next())? == 1,
        }))
    }
}

impl Renewal {
    /// The first epoch of a history.
    pub(super) fn first() -> Self {
        Self {
            found: None,
            begins_after: 0,
            begins_after_id: String::new(),
            reached: (0, String::new()),
            own: None,
        }
    }
}

/// Reads a list such as `7:30 5:12`.
fn ended(text: &str) -> Vec<(Epoch, u64)> {
    let pair = |pair: &str| {
        let (epoch, end) = pair.split_once(':')?;
        Some((Epoch::new(epoch.parse().ok()?), end.parse().ok()?))
    };
    text.split(' ').filter_map(pair).collect()
}

/// Compares what was found with what this process has seen.
pub(super) fn judge(found: Option<&Found>, log: &Log) -> Verdict {
    let (seen, newest) = (log.bounds(), log.newest());
    let own = Some(seen.epoch);
    let Some(found) = found else {
        let begins_after_id = newest.id;
        return Verdict::Renew(Renewal {
            begins_after: seen.newest,
            begins_after_id,
            own,
            ..Renewal::first()
        });
    };
    if found.epoch == seen.epoch && is_intact(found, log) {
        return Verdict::Same;
    }
    let mut has_seen_all = found.newest <= seen.newest && log.has_seen(found.reached.0, &found.reached.1);
    if found.epoch != seen.epoch {
        // Nothing is known of what other epochs there were when the own one is forgotten.
        let end = found.ended.iter().find(|(epoch, _)| *epoch == seen.epoch).map(|(_, end)| *end);
        let (floor, floor_id) = &found.floor;
        // What is known here of the place that it begins after. Without an id nothing is known to be there.
        let (has_none, is_known) = (newest.id.is_empty(), log.has_seen(*floor, floor_id));
        let is_another =
            end == Some(*floor) && *floor <= seen.newest && !(has_none || floor_id.is_empty() || is_known);
        let begins_here = end == Some(*floor) && *floor == seen.newest && (has_none || is_known);
        if begins_here && log.has_seen(found.left.0, &found.left.1) {
            return Verdict::Adopt { epoch: found.epoch, after: seen.newest };
        }
        let is_accounted_for = end.is_some_and(|end| seen.newest <= end) && !is_another;
        if is_accounted_for && found.newest > seen.newest {
            // What came since the epoch began is read on. Where it begins right after what was seen here, its first entry makes room for the gap.
            return Verdict::Adopt { epoch: found.epoch, after: (*floor).max(seen.newest + 1) };
        }
        // Two have had another entry in the same place, and each is to be told of the other's.
        has_seen_all &= !is_another;
    }
    let begins_after = if has_seen_all { seen.newest } else { found.newest.max(seen.newest) + 1 };
    Verdict::Renew(Renewal {
        found: Some((found.epoch, found.newest)),
        begins_after,
        begins_after_id: if begins_after == newest.offset { newest.id } else { String::new() },
        reached: found.reached.clone(),
        own,
    })
}

/// Whether nothing of the epoch that this process has seen is lost or another.
fn is_intact(found: &Found, log: &Log) -> bool {
    let holds_its_own = found.count >= (found.newest + 1).saturating_sub(found.oldest);
    found.newest >= log.bounds().newest && holds_its_own && found.is_there
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tbx_bus::{MessageId, Topic};

    use super::*;
    use crate::{Entry, EventName, Notification};

    const SEEN: Epoch = Epoch::new(1);
    const OTHER: Epoch = Epoch::new(2);

    /// A process that has seen the entries `a1`, `a2` … up to `newest`.
    fn log(newest: u64) -> Log {
        let mut log = Log::new(SEEN, 1);
        for offset in 1..=newest {
            let (topic, event) = (Topic::new("a").unwrap(), EventName::new("Happened").unwrap());
            let id = MessageId::new(&format!("a{offset}")).unwrap();
            let notification = Notification::new(id, topic, event, "{}").unwrap();
            log.push(Arc::new(Entry::new(log.position(offset), notification)));
        }
        log
    }

    fn found(epoch: Epoch, newest: u64, reached: (u64, &str), is_there: bool) -> Found {
        Found {
            epoch,
            newest,
            oldest: 1,
            forgotten: 0,
            floor: (0, String::new()),
            left: (0, String::new()),
            ended: Vec::new(),
            reached: (reached.0, reached.1.to_owned()),
            count: newest,
            is_there,
        }
    }

    /// What was found, in an epoch that began after `floor`, when `left` was the last entry, at offset 2.
    fn begun(ended: Vec<(Epoch, u64)>, floor: (u64, &str), left: &str, found: Found) -> Found {
        Found {
            floor: (floor.0, floor.1.to_owned()),
            oldest: floor.0 + 1,
            ended,
            left: (2, left.to_owned()),
            ..found
        }
    }

    fn begins_after(verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Renew(renewal) => renewal.begins_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn more_of_the_same_is_no_loss() {
        for newest in [3, 9] {
            let reached = (newest, &*format!("a{newest}"));
            assert_eq!(judge(Some(&found(SEEN, newest, reached, true)), &log(3)), Verdict::Same);
        }
        // What this process saw last is trimmed.
        let trimmed = Found { oldest: 5, count: 5, ..found(SEEN, 9, (9, "a9"), true) };
        assert_eq!(judge(Some(&trimmed), &log(3)), Verdict::Same);
    }

    #[test]
    fn who_has_seen_all_that_is_left_goes_on_without_a_gap() {
        assert_eq!(begins_after(judge(None, &log(3))), 3, "all is lost");
        let shorter = found(SEEN, 2, (2, "a2"), false);
        assert_eq!(begins_after(judge(Some(&shorter), &log(3))), 3, "the newest is lost");
        let holes = Found { count: 1, ..found(SEEN, 3, (3, "a3"), true) };
        assert_eq!(begins_after(judge(Some(&holes), &log(3))), 3, "entries are lost, the state is not");
        let renewed = Found { count: 0, ..found(OTHER, 3, (2, "a2"), false) };
        let renewed = begun(vec![(SEEN, 3)], (3, "a3"), "a2", renewed);
        assert_eq!(judge(Some(&renewed), &log(3)), Verdict::Adopt { epoch: OTHER, after: 3 });
    }

    #[test]
    fn who_has_seen_all_before_an_epoch_comes_late_to_it_without_a_gap() {
        let late = found(OTHER, 5, (5, "b5"), false);
        let seen = begun(vec![(SEEN, 3)], (3, "a3"), "a2", late.clone());
        assert_eq!(judge(Some(&seen), &log(3)), Verdict::Adopt { epoch: OTHER, after: 3 });
        let unseen = begun(vec![(SEEN, 3)], (3, "a3"), "b2", late.clone());
        assert_eq!(judge(Some(&unseen), &log(3)), Verdict::Adopt { epoch: OTHER, after: 4 });
        let of_an_older_version = begun(vec![(SEEN, 3)], (3, ""), "a2", late.clone());
        assert_eq!(judge(Some(&of_an_older_version), &log(3)), Verdict::Adopt { epoch: OTHER, after: 4 });
        // Another epoch came and went between, and its entries with it.
        let after_another = begun(vec![(Epoch::new(3), 3), (SEEN, 2)], (3, "a3"), "a2", late);
        assert_eq!(begins_after(judge(Some(&after_another), &log(3))), 6);
    }

    #[test]
    fn two_that_had_other_entries_in_one_place_are_both_told() {
        for newest in [3, 5] {
            let forked = begun(vec![(SEEN, 3)], (3, "b3"), "a2", found(OTHER, newest, (2, "a2"), false));
            assert_eq!(begins_after(judge(Some(&forked), &log(3))), newest + 1);
        }
        let forked_earlier = begun(vec![(SEEN, 3)], (3, "b3"), "a2", found(OTHER, 3, (2, "a2"), false));
        assert_eq!(begins_after(judge(Some(&forked_earlier), &log(4))), 5);
    }

    #[test]
    fn who_has_seen_nothing_of_an_epoch_goes_on_after_it_when_all_is_lost() {
        // It came to its own epoch by a gap.
        let mut log = Log::new(Epoch::new(3), 1);
        log.begin(SEEN, 3);
        let renewed = Found { left: (0, String::new()), ..found(OTHER, 3, (0, ""), true) };
        let renewed =
            Found { floor: (3, "a3".to_owned()), oldest: 4, count: 0, ended: vec![(SEEN, 3)], ..renewed };
        assert_eq!(judge(Some(&renewed), &log), Verdict::Adopt { epoch: OTHER, after: 3 });
    }

    #[test]
    fn who_has_not_goes_on_after_an_offset_that_nobody_has() {
        let overtaken = found(SEEN, 5, (5, "b5"), false);
        assert_eq!(begins_after(judge(Some(&overtaken), &log(3))), 6, "others came in place of the lost");
        let different = found(SEEN, 2, (2, "b2"), false);
        assert_eq!(begins_after(judge(Some(&different), &log(3))), 4);
        let fresh = found(OTHER, 3, (3, "b3"), false);
        assert_eq!(begins_after(judge(Some(&fresh), &log(3))), 4);
        let further = Found {
            floor: (5, String::new()),
            oldest: 6,
            count: 0,
            ended: vec![(SEEN, 5)],
            ..found(OTHER, 5, (0, ""), true)
        };
        assert_eq!(judge(Some(&further), &log(3)), Verdict::Adopt { epoch: OTHER, after: 5 });
    }

    #[test]
    fn who_comes_late_to_an_epoch_goes_on_where_it_begins() {
        let late = Found {
            floor: (10, String::new()),
            oldest: 11,
            count: 2,
            ended: vec![(SEEN, 10)],
            ..found(OTHER, 12, (12, "b12"), false)
        };
        assert_eq!(judge(Some(&late), &log(9)), Verdict::Adopt { epoch: OTHER, after: 10 });
    }

    #[test]
    fn what_only_this_process_has_seen_is_told_to_the_others() {
        // The others went on without it, and are further now.
        let without = begun(vec![(SEEN, 2)], (2, "a2"), "b2", found(OTHER, 9, (9, "b9"), false));
        assert_eq!(begins_after(judge(Some(&without), &log(3))), 10);
        let with = begun(vec![(SEEN, 3)], (3, "a3"), "b2", without.clone());
        assert_eq!(judge(Some(&with), &log(3)), Verdict::Adopt { epoch: OTHER, after: 4 });
        let of_unknown_descent = Found { ended: vec![(OTHER, 7)], ..without };
        assert_eq!(begins_after(judge(Some(&of_unknown_descent), &log(3))), 10);
        assert_eq!(ended("7:30 5:12"), [(Epoch::new(7), 30), (Epoch::new(5), 12)]);
        assert!(ended("").is_empty() && ended("x:1 :").is_empty());
    }

    #[test]
    fn an_epoch_that_begins_below_what_was_seen_is_renewed() {
        let lower =
            Found { floor: (2, "a2".to_owned()), oldest: 3, count: 0, ..found(OTHER, 2, (0, ""), true) };
        assert_eq!(begins_after(judge(Some(&lower), &log(3))), 3);
        let appended_to =
            Found { floor: (2, "a2".to_owned()), oldest: 3, count: 1, ..found(OTHER, 3, (3, "b3"), false) };
        assert_eq!(begins_after(judge(Some(&appended_to), &log(3))), 4);
    }
}
