//! Reading.

use tbx_bus::Topic;

use super::harness::{Harness, append_all};
use crate::TopicSet;

/// A read begins after the given offset and stops at its limit or the end.
pub async fn reading_goes_on_after_any_offset(harness: &mut dyn Harness) {
    let history = harness.history();
    append_all(&history, &["a", "b", "c", "d"]).await;
    for (after, limit, wanted) in
        [(0, 10, vec![1, 2, 3, 4]), (2, 1, vec![3]), (4, 10, vec![]), (9, 10, vec![])]
    {
        let offsets: Vec<u64> =
            history.read(after, limit).await.unwrap().iter().map(|entry| entry.offset()).collect();
        assert_eq!(offsets, wanted, "after {after}, limit {limit}");
    }
}

/// Several patterns, overlapping ones too, give each wanted entry once, oldest first.
pub async fn matching_reads_give_every_wanted_entry_once_and_in_order(harness: &mut dyn Harness) {
    let history = harness.history();
    append_all(&history, &["a.x", "b", "a.y", "c", "a.x", "b"]).await;
    for (topics, wanted) in [
        ("a.*", vec![1, 3, 5]),
        ("a.*,a.x,#.y", vec![1, 3, 5]),
        ("b,c", vec![2, 4, 6]),
        ("#", vec![1, 2, 3, 4, 5, 6]),
        ("none", vec![]),
    ] {
        assert_eq!(matching(harness, topics, 0, 6, 10).await, wanted, "{topics}");
    }
    assert_eq!(matching(harness, "a.*", 1, 6, 10).await, [3, 5]);
}

/// A matching read never passes `through` and never gives more than its limit.
pub async fn matching_reads_stop_where_they_are_told(harness: &mut dyn Harness) {
    let history = harness.history();
    append_all(&history, &["a", "b", "a", "b", "a"]).await;
    assert_eq!(matching(harness, "a", 0, 4, 10).await, [1, 3]);
    assert_eq!(matching(harness, "#", 1, 5, 2).await, [2, 3]);
}

/// No wildcard finds a private word.
pub async fn private_topics_are_read_only_when_written_out(harness: &mut dyn Harness) {
    let history = harness.history();
    append_all(&history, &["a.$p", "a.b", "$p"]).await;
    assert_eq!(matching(harness, "#", 0, 3, 10).await, [2]);
    assert_eq!(matching(harness, "a.$p,$p", 0, 3, 10).await, [1, 3]);
}

/// The newest offset of a topic is known as soon as its append is answered.
pub async fn the_newest_entry_of_a_topic_is_known(harness: &mut dyn Harness) {
    let history = harness.history();
    append_all(&history, &["a", "b", "a"]).await;
    for (topic, wanted) in [("a", Some(3)), ("b", Some(2)), ("a.b", None)] {
        assert_eq!(history.newest_of(&Topic::new(topic).unwrap()), wanted, "{topic}");
    }
}

async fn matching(harness: &dyn Harness, topics: &str, after: u64, through: u64, limit: usize) -> Vec<u64> {
    let topics = TopicSet::parse(topics).unwrap();
    let matching = harness.history().read_matching(&topics, after, through, limit).await.unwrap();
    assert!(!matching.some_trimmed);
    matching.entries.iter().map(|entry| entry.offset()).collect()
}
