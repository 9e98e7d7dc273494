//! Readers that do not keep up.

use tbx_bus::TopicPattern;
use tbx_notify::TopicSet;
use tbx_notify::hub::{GapReason, HubOptions, Next, Reader, SlowPolicy, Start};

use super::support::{Fixture, bodies, fixture, within};

/// A small memory, and a bound of about four entries.
fn options() -> HubOptions {
    HubOptions::default().with_window(2, 1 << 20).with_max_behind(1_200)
}

/// A reader that was up to date and then did not read while many entries came.
async fn stalled(fixture: &Fixture, policy: SlowPolicy) -> Reader {
    let everything = TopicSet::everything();
    let mut reader = fixture.hub.read(everything, Start::Head).unwrap().with_slow_policy(policy);
    fixture.tell("a", 0).await;
    assert_eq!(bodies(&mut reader, 1).await, ["0"]);
    for number in 1..=20 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    reader
}

#[tokio::test]
async fn a_reader_that_drops_the_oldest_goes_on_in_memory_and_is_told() {
    let fixture = fixture(100, options());
    let mut reader = stalled(&fixture, SlowPolicy::DropOldest).await;
    let Next::Gap(gap) = within(reader.next()).await else { panic!("a gap") };
    assert_eq!((gap.reason, gap.resumes_after.offset), (GapReason::Slow, 19));
    assert_eq!(bodies(&mut reader, 2).await, ["19", "20"]);
}

#[tokio::test]
async fn a_reader_that_is_closed_can_resume_and_misses_nothing() {
    let fixture = fixture(100, options());
    let mut reader = stalled(&fixture, SlowPolicy::Close).await;
    assert!(matches!(within(reader.next()).await, Next::TooSlow));
    let after = Start::After { position: reader.position().to_string(), otherwise: Default::default() };
    let mut resumed =
        fixture.hub.read(TopicSet::everything(), after).unwrap().with_slow_policy(SlowPolicy::Close);
    let wanted: Vec<String> = (1..=20).map(|number: u32| number.to_string()).collect();
    assert_eq!(bodies(&mut resumed, 20).await, wanted);
}

#[tokio::test]
async fn a_reader_a_little_behind_reads_from_the_history_and_misses_nothing() {
    let fixture = fixture(100, options().with_max_behind(1 << 20));
    let mut reader = stalled(&fixture, SlowPolicy::Close).await;
    let wanted: Vec<String> = (1..=20).map(|number: u32| number.to_string()).collect();
    assert_eq!(bodies(&mut reader, 20).await, wanted);
}

#[tokio::test]
async fn of_topics_that_want_the_latest_only_older_entries_are_passed_over() {
    let options = options().with_slow_policy(TopicPattern::new("price.*").unwrap(), SlowPolicy::LatestOnly);
    let fixture = fixture(100, options.with_max_behind(1 << 20));
    let mut reader = fixture.hub.read(TopicSet::everything(), Start::Head).unwrap();
    for number in 1..=12 {
        fixture.tell(["price.a", "price.b", "trade"][number % 3], number).await;
    }
    fixture.flowed().await;
    // Every trade, and of each price the last.
    assert_eq!(bodies(&mut reader, 6).await, ["2", "5", "8", "10", "11", "12"]);
    fixture.tell("price.a", 13).await;
    assert_eq!(bodies(&mut reader, 1).await, ["13"]);
}

#[tokio::test]
async fn the_policy_of_a_topic_goes_before_that_of_the_reader() {
    let topic = TopicPattern::new("a").unwrap();
    let fixture = fixture(100, options().with_slow_policy(topic, SlowPolicy::DropOldest));
    let mut reader = stalled(&fixture, SlowPolicy::Close).await;
    assert!(matches!(within(reader.next()).await, Next::Gap(_)));
}

#[tokio::test]
async fn what_the_history_trimmed_before_a_slow_reader_is_told_or_closes_it() {
    for (policy, closes) in [(SlowPolicy::DropOldest, false), (SlowPolicy::Close, true)] {
        let fixture = fixture(5, options().with_max_behind(1 << 20));
        let mut reader = stalled(&fixture, policy).await;
        match within(reader.next()).await {
            Next::Gap(gap) => {
                assert!(!closes && gap.reason == GapReason::Slow && gap.resumes_after.offset == 16);
            }
            Next::TooSlow => assert!(closes),
            other => panic!("{other:?}"),
        }
    }
}
