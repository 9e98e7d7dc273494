//! Trimming.

use super::harness::{Harness, KEPT, KEPT_FOR, append_all, eventually};
use crate::TopicSet;

/// Far more than is kept, so that a history that trims in batches trims too.
const MANY: u64 = 1_600;

/// The oldest go first, and what is kept has no holes.
pub async fn what_exceeds_the_count_is_trimmed_from_the_old_end(harness: &mut dyn Harness) {
    let history = harness.history();
    fill(harness, "a").await;
    let bounds = history.bounds();
    let kept: Vec<u64> =
        history.read(0, usize::MAX >> 1).await.unwrap().iter().map(|entry| entry.offset()).collect();
    assert!(kept.len() as u64 >= KEPT);
    assert_eq!(kept.last(), Some(&MANY));
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(bounds.oldest > 1);
}

/// What is older than its time goes, what is younger stays.
pub async fn what_exceeds_the_age_is_trimmed_from_the_old_end(harness: &mut dyn Harness) {
    append_all(&harness.history(), &["a", "a"]).await;
    harness.advance(KEPT_FOR * 2);
    append_all(&harness.history(), &["b"]).await;
    let everything = TopicSet::everything();
    let history = harness.history();
    eventually("the old entries are trimmed", || async { history.has_trimmed(&everything, 1) }).await;
    assert_eq!((history.bounds().oldest, history.bounds().newest), (3, 3));
    assert!(!history.has_trimmed(&everything, 2));
}

/// A gap is told to a reader of a trimmed topic, and not to one of a quiet topic.
pub async fn only_those_who_missed_something_are_told(harness: &mut dyn Harness) {
    let history = harness.history();
    append_all(&history, &["quiet"]).await;
    fill(harness, "busy").await;
    let (quiet, busy) = (TopicSet::parse("quiet").unwrap(), TopicSet::parse("busy").unwrap());
    assert!(history.has_trimmed(&quiet, 0));
    assert!(!history.has_trimmed(&quiet, 1));
    assert!(history.has_trimmed(&busy, 1));
    assert!(!history.has_trimmed(&busy, history.bounds().newest));
    assert!(!history.has_trimmed(&TopicSet::parse("never").unwrap(), 0));
}

/// A durable history knows after a restart what it no longer has.
pub async fn what_was_trimmed_is_remembered_when_reopened(harness: &mut dyn Harness) {
    append_all(&harness.history(), &["quiet"]).await;
    fill(harness, "busy").await;
    harness.reopen().await;
    if harness.is_durable() {
        let history = harness.history();
        assert!(history.has_trimmed(&TopicSet::parse("quiet").unwrap(), 0));
        assert!(!history.has_trimmed(&TopicSet::parse("quiet").unwrap(), 1));
        assert!(history.has_trimmed(&TopicSet::parse("busy").unwrap(), 1));
    }
}

/// Trimming everything does not give an offset a second time.
pub async fn a_trimmed_history_goes_on_counting(harness: &mut dyn Harness) {
    append_all(&harness.history(), &["a", "a"]).await;
    harness.advance(KEPT_FOR * 2);
    let history = harness.history();
    eventually("everything is trimmed", || async { history.has_trimmed(&TopicSet::everything(), 1) }).await;
    drop(history);
    if harness.is_durable() {
        harness.reopen().await;
    }
    assert_eq!(append_all(&harness.history(), &["a"]).await, [3]);
}

/// Appends until `MANY` entries were appended, and waits until some of them are trimmed.
async fn fill(harness: &dyn Harness, topic: &str) {
    let history = harness.history();
    let mut appends = tokio::task::JoinSet::new();
    for _ in history.bounds().newest..MANY {
        let (history, topic) = (harness.history(), topic.to_owned());
        appends.spawn(async move { append_all(&history, &[&topic]).await });
    }
    appends.join_all().await;
    let everything = TopicSet::everything();
    eventually("the oldest entries are trimmed", || async { history.has_trimmed(&everything, 1) }).await;
}
