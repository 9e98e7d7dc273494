//! Appending.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::harness::{Harness, append_all, notification, numbered};

/// Offsets start at 1 and grow by one.
pub async fn offsets_start_at_1_and_grow_by_one(harness: &mut dyn Harness) {
    let history = harness.history();
    assert_eq!((history.bounds().oldest, history.bounds().newest), (1, 0));
    assert_eq!(append_all(&history, &["a", "b", "a"]).await, [1, 2, 3]);
    assert_eq!((history.bounds().oldest, history.bounds().newest), (1, 3));
}

/// A repetition is not appended and is answered with the position of the first.
pub async fn an_id_is_appended_once_and_answered_with_its_first_position(harness: &mut dyn Harness) {
    let history = harness.history();
    let first = notification("a");
    let appended = history.append(first.clone()).await.unwrap();
    assert!(appended.is_new);
    append_all(&history, &["b"]).await;
    let repeated = history.append(first).await.unwrap();
    assert_eq!((repeated.position, repeated.is_new), (appended.position, false));
    assert_eq!(append_all(&history, &["c"]).await, [3]);
}

/// Whatever the order of concurrent appends, no offset is left out or given twice.
pub async fn concurrent_appends_get_offsets_without_holes(harness: &mut dyn Harness) {
    let history = harness.history();
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..200 {
        let history = Arc::clone(&history);
        appends.spawn(async move { history.append(numbered("a", number)).await.unwrap().position.offset });
    }
    let offsets: BTreeSet<u64> = appends.join_all().await.into_iter().collect();
    assert_eq!(offsets, (1..=200).collect());
}

/// The same notification, appended by many at once, is there once.
pub async fn concurrent_repetitions_are_appended_once(harness: &mut dyn Harness) {
    let history = harness.history();
    let same = notification("a");
    let mut appends = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (history, same) = (Arc::clone(&history), same.clone());
        appends.spawn(async move { history.append(same).await.unwrap() });
    }
    let answers = appends.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_new).count(), 1);
    assert!(answers.iter().all(|answer| answer.position.offset == 1));
    assert_eq!(history.bounds().newest, 1);
}

/// Whoever was answered can read what was appended, and the newest offset tells of it.
pub async fn an_append_is_visible_when_it_is_answered(harness: &mut dyn Harness) {
    let history = harness.history();
    let newest = history.newest();
    for number in 1..=5 {
        let offset = history.append(numbered("a", 0)).await.unwrap().position.offset;
        assert_eq!(offset, number);
        assert!(*newest.borrow() >= offset);
        assert_eq!(history.read(offset - 1, 10).await.unwrap().len(), 1);
    }
}

/// Id, topic, event and body are kept to the byte.
pub async fn entries_come_back_as_they_went_in(harness: &mut dyn Harness) {
    let history = harness.history();
    let sent = numbered("wörds.$x", 7);
    let position = history.append(sent.clone()).await.unwrap().position;
    if harness.is_durable() {
        harness.reopen().await;
        let entries = harness.history().read(0, 10).await.unwrap();
        assert_eq!((entries[0].notification(), entries[0].position()), (&sent, position));
    }
    let entries = history.read(0, 10).await.unwrap_or_default();
    assert!(entries.iter().all(|entry| *entry.notification() == sent && entry.position() == position));
}

/// Positions survive a restart, or are told apart after it.
pub async fn a_reopened_durable_history_goes_on_and_any_other_has_a_new_epoch(harness: &mut dyn Harness) {
    let repeated = notification("a");
    let first = harness.history().append(repeated.clone()).await.unwrap().position;
    harness.reopen().await;
    let history = harness.history();
    if harness.is_durable() {
        assert_eq!(history.bounds().head(), first);
        assert!(!history.append(repeated).await.unwrap().is_new);
        assert_eq!(append_all(&history, &["a"]).await, [2]);
    } else {
        assert_ne!(history.bounds().epoch, first.epoch);
        assert_eq!(history.bounds().newest, 0);
    }
}
