//! What covering a pattern promises, for every short pattern and topic.

use tbx_bus::{Topic, TopicPattern};

/// Every sequence of one to `longest` of these words.
fn sequences(words: &[&str], longest: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..longest {
        let longer = |start: &String| {
            let start = if start.is_empty() { String::new() } else { format!("{start}.") };
            words.iter().map(move |word| format!("{start}{word}")).collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend_from_slice(&last);
    }
    all
}

/// Which topics a pattern matches, a bit for each.
fn matched(pattern: &TopicPattern, topics: &[Topic]) -> Vec<u64> {
    let bits =
        |topics: &[Topic]| topics.iter().fold(0, |bits, topic| bits << 1 | u64::from(pattern.matches(topic)));
    topics.chunks(64).map(bits).collect()
}

#[test]
fn a_pattern_matches_whatever_those_that_it_covers_match() {
    let topics: Vec<Topic> =
        sequences(&["a", "b", "$p"], 5).iter().map(|text| Topic::new(text).unwrap()).collect();
    let patterns: Vec<TopicPattern> =
        sequences(&["a", "$p", "*", "#"], 4).iter().map(|text| TopicPattern::new(text).unwrap()).collect();
    let sets: Vec<Vec<u64>> = patterns.iter().map(|pattern| matched(pattern, &topics)).collect();
    for (wide, all) in patterns.iter().zip(&sets) {
        assert!(wide.covers(wide), "{wide} covers itself");
        for (narrow, some) in patterns.iter().zip(&sets) {
            if wide.covers(narrow) {
                let is_within = some.iter().zip(all).all(|(some, all)| some & !all == 0);
                assert!(is_within, "{wide} covers {narrow}");
            }
        }
    }
}
