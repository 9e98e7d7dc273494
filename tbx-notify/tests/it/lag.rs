//! How far behind a reader is, and what is kept for those that are.

use std::sync::Arc;
use std::task::Poll;

use tbx_bus::TopicPattern;
use tbx_notify::TopicSet;
use tbx_notify::history::{History, MemoryHistory};
use tbx_notify::hub::{GapReason, Hub, HubOptions, Next, Reader, SlowPolicy, Start};
use tokio_util::sync::CancellationToken;

use super::support::{bodies, fixture, notification, within};

/// Polls once.
async fn has_something_at_once(reader: &mut Reader) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(reader.poll_next(cx).is_ready())).await
}

/// A small memory, and a bound of about eleven entries.
fn options() -> HubOptions {
    HubOptions::default().with_window(2, 1 << 20).with_max_behind(3_000)
}

fn latest_only(pattern: &str, options: HubOptions) -> HubOptions {
    options.with_slow_policy(TopicPattern::new(pattern).unwrap(), SlowPolicy::LatestOnly)
}

#[tokio::test]
async fn a_reader_that_stays_a_few_entries_behind_is_never_too_slow() {
    let fixture = fixture(10_000, options());
    let mut reader = fixture.hub.read(TopicSet::everything(), Start::Head).unwrap();
    fixture.tell("a", 0).await;
    assert_eq!(bodies(&mut reader, 1).await, ["0"]);
    assert!(!has_something_at_once(&mut reader).await);
    for number in 1..=4 {
        fixture.tell("a", number).await;
    }
    for number in 5..1_000 {
        fixture.flowed().await;
        assert_eq!(bodies(&mut reader, 1).await, [(number - 4).to_string()]);
        fixture.tell("a", number).await;
    }
}

#[tokio::test]
async fn an_entry_that_many_patterns_want_counts_once() {
    for topics in ["#", "#,*,a,#.a,a.#"] {
        let fixture = fixture(10_000, options());
        let mut reader = fixture.hub.read(TopicSet::parse(topics).unwrap(), Start::Head).unwrap();
        for rounds in 1..=3 {
            fixture.tell("a", 0).await;
            assert_eq!(bodies(&mut reader, 1).await, ["0"]);
            for number in 1..=5 {
                fixture.tell("a", number).await;
            }
            fixture.flowed().await;
            assert_eq!(bodies(&mut reader, 5).await, ["1", "2", "3", "4", "5"], "{topics}, round {rounds}");
        }
        for number in 0..20 {
            fixture.tell("a", number).await;
        }
        fixture.flowed().await;
        let next = within(reader.next()).await;
        assert!(matches!(&next, Next::Gap(gap) if gap.reason == GapReason::Slow), "{topics}: {next:?}");
    }
}

#[tokio::test]
async fn the_latest_of_a_topic_comes_although_its_neighbours_are_dropped() {
    let fixture = fixture(1_000, latest_only("price.*", options()));
    let mut reader = fixture.hub.read(TopicSet::everything(), Start::Head).unwrap();
    fixture.tell("log", 0).await;
    assert_eq!(bodies(&mut reader, 1).await, ["0"]);
    let position = reader.position();
    // More than the history gives at a time, with one price near the beginning and one in the middle.
    for number in 1..200 {
        match number {
            2 => fixture.tell_body("price.a", "outdated").await,
            5 => fixture.tell_body("price.a", "of a").await,
            100 => fixture.tell_body("price.b", "of b").await,
            _ => fixture.tell("log", number).await,
        };
    }
    fixture.flowed().await;
    let Next::Gap(gap) = within(reader.next()).await else { panic!("a gap") };
    assert_eq!((gap.reason, gap.resumes_after), (GapReason::Slow, position), "the prices lie behind it");
    assert_eq!(bodies(&mut reader, 4).await, ["of a", "of b", "198", "199"]);
    fixture.tell("log", 200).await;
    assert_eq!(bodies(&mut reader, 1).await, ["200"]);
}

#[tokio::test]
async fn an_entry_is_not_passed_over_for_one_that_no_reader_can_have_yet() {
    let history = Arc::new(MemoryHistory::default());
    let hub = Hub::new(history.clone(), latest_only("price", HubOptions::default()));
    let mut reader = hub.read(TopicSet::everything(), Start::Head).unwrap();
    history.append(notification("price", "older")).await.unwrap();
    follow_to(&hub, 1).await;
    // The hub lags: nobody can have this one.
    history.append(notification("price", "newer")).await.unwrap();
    assert_eq!(bodies(&mut reader, 1).await, ["older"]);
    follow_to(&hub, 2).await;
    assert_eq!(bodies(&mut reader, 1).await, ["newer"]);
}

/// Lets a hub follow its history up to an offset, and stops it.
async fn follow_to(hub: &Hub, offset: u64) {
    let stop = CancellationToken::new();
    let following = tokio::spawn(hub.clone().run(stop.clone()));
    within(async {
        while hub.head().offset < offset {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stop.cancel();
    within(following).await.unwrap();
}

/// Patterns that all match the topic `a.a.a.a.a`, each in its own way.
fn matching_patterns(count: usize) -> TopicSet {
    let word = |number: usize, place: usize| if number >> place & 1 == 0 { "a" } else { "*" };
    let pattern = |number| (0..5).map(|place| word(number, place)).collect::<Vec<_>>().join(".");
    TopicSet::parse(&(0..count).map(pattern).collect::<Vec<_>>().join(",")).unwrap()
}

#[tokio::test]
async fn an_entry_costs_more_memory_the_more_patterns_have_it() {
    for (patterns, fits) in [(1, true), (32, false)] {
        let fixture = fixture(100, HubOptions::default().with_window(4_096, 8_000));
        let mut reader = fixture.hub.read(matching_patterns(patterns), Start::Head).unwrap();
        assert_eq!(reader.topics().patterns().len(), patterns);
        let wanted: Vec<String> = (0..20).map(|number: u32| number.to_string()).collect();
        for body in &wanted {
            fixture.tell_body("a.a.a.a.a", body).await;
        }
        fixture.flowed().await;
        let mut other = reader.beside(reader.topics().clone(), Start::Oldest);
        assert_eq!(has_something_at_once(&mut other).await, fits, "{patterns} patterns");
        assert_eq!(bodies(&mut reader, 20).await, wanted, "the history has what memory has not");
    }
}
