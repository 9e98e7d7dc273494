//! Readers: live, catching up, and everything in between.

use tbx_notify::history::{History, MemoryHistory, Retention, SqliteHistory};
use tbx_notify::hub::{Fallback, GapReason, Hub, HubOptions, Next, Start};
use tbx_notify::{EventName, Notification, Position, TopicSet};

use super::support::{bodies, fixture, within};

fn topics(text: &str) -> TopicSet {
    TopicSet::parse(text).unwrap()
}

fn after(position: impl ToString) -> Start {
    Start::After { position: position.to_string(), otherwise: Fallback::Head }
}

#[tokio::test]
async fn a_fresh_reader_gets_what_comes_and_nothing_before() {
    let fixture = fixture(100, HubOptions::default());
    fixture.tell("a", 1).await;
    fixture.flowed().await;
    let mut reader = fixture.hub.read(topics("a"), Start::Head).unwrap();
    fixture.tell("b", 2).await;
    fixture.tell("a", 3).await;
    assert_eq!(bodies(&mut reader, 1).await, ["3"]);
}

#[tokio::test]
async fn a_reader_of_overlapping_patterns_gets_each_entry_once() {
    let fixture = fixture(100, HubOptions::default());
    let mut reader = fixture.hub.read(topics("a.*,a.b,#,#.b.#"), Start::Head).unwrap();
    for number in 0..5 {
        fixture.tell("a.b", number).await;
    }
    assert_eq!(bodies(&mut reader, 5).await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_exactly_what_it_missed() {
    let fixture = fixture(100, HubOptions::default());
    let mut reader = fixture.hub.read(topics("a"), Start::Head).unwrap();
    fixture.tell("a", 1).await;
    assert_eq!(bodies(&mut reader, 1).await, ["1"]);
    let position = reader.position();
    drop(reader);
    for number in 2..6 {
        fixture.tell(if number % 2 == 0 { "a" } else { "b" }, number).await;
    }
    let mut reader = fixture.hub.read(topics("a"), after(position)).unwrap();
    fixture.tell("a", 6).await;
    assert_eq!(bodies(&mut reader, 3).await, ["2", "4", "6"]);
}

/// Behind the window in memory, reading from the history while entries keep coming.
#[tokio::test]
async fn catching_up_and_live_are_one_sequence() {
    let fixture = fixture(10_000, HubOptions::default().with_window(16, 1 << 20));
    let mut reader = fixture.hub.read(topics("a,b.*"), Start::Oldest).unwrap();
    let mut wanted = Vec::new();
    for number in 0..500 {
        let topic = ["a", "b.x", "c"][number % 3];
        fixture.tell(topic, number).await;
        if topic != "c" {
            wanted.push(number.to_string());
        }
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let count = wanted.len();
    assert_eq!(bodies(&mut reader, count).await, wanted);
}

#[tokio::test]
async fn a_reader_that_was_away_too_long_is_told_and_goes_on_with_the_oldest_kept() {
    let fixture = fixture(5, HubOptions::default().with_window(2, 1 << 20));
    let position = fixture.hub.head();
    for number in 0..20 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let mut reader = fixture.hub.read(topics("a"), after(position)).unwrap();
    let Next::Gap(gap) = within(reader.next()).await else { panic!("a gap") };
    assert_eq!((gap.reason, gap.requested), (GapReason::Trimmed, Some(position.to_string())));
    assert_eq!((gap.oldest.offset, gap.newest.offset, gap.resumes_after.offset), (15, 20, 15));
    assert_eq!(bodies(&mut reader, 5).await, ["15", "16", "17", "18", "19"]);
}

#[tokio::test]
async fn a_reader_of_a_quiet_topic_is_told_of_no_gap() {
    let fixture = fixture(5, HubOptions::default().with_window(2, 1 << 20));
    let position = fixture.hub.head();
    for number in 0..20 {
        fixture.tell("busy", number).await;
    }
    let mut reader = fixture.hub.read(topics("quiet"), after(position)).unwrap();
    fixture.tell("quiet", 7).await;
    assert_eq!(bodies(&mut reader, 1).await, ["7"]);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_told_that_it_was_slow() {
    let fixture = fixture(5, HubOptions::default().with_window(2, 1 << 20));
    let mut reader = fixture.hub.read(topics("a"), Start::Head).unwrap();
    for number in 0..20 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let Next::Gap(gap) = within(reader.next()).await else { panic!("a gap") };
    assert_eq!(gap.reason, GapReason::Slow);
    assert_eq!(bodies(&mut reader, 5).await, ["15", "16", "17", "18", "19"]);
}

#[tokio::test]
async fn a_foreign_position_is_told_apart() {
    let fixture = fixture(100, HubOptions::default());
    fixture.tell("a", 1).await;
    fixture.flowed().await;
    let head = fixture.hub.head();
    let ahead = Position::new(head.epoch, 7);
    for foreign in ["garbage".to_owned(), "1-1".to_owned(), ahead.to_string()] {
        let mut reader = fixture.hub.read(topics("a"), after(&foreign)).unwrap();
        let Next::Gap(gap) = within(reader.next()).await else { panic!("a gap") };
        assert_eq!((gap.reason, gap.requested, gap.resumes_after), (GapReason::Unknown, Some(foreign), head));
    }
    let start = Start::After { position: "garbage".to_owned(), otherwise: Fallback::Oldest };
    let mut reader = fixture.hub.read(topics("a"), start).unwrap();
    assert!(matches!(within(reader.next()).await, Next::Gap(_)));
    assert_eq!(bodies(&mut reader, 1).await, ["1"]);
}

#[tokio::test]
async fn what_was_published_before_a_reader_came_is_no_news_to_it_while_the_hub_lags() {
    let fixture = fixture(100, HubOptions::default());
    fixture.tell("a", 1).await;
    assert_eq!(fixture.hub.head().offset, 0, "the hub has not run yet");
    let mut fresh = fixture.hub.read(topics("a"), Start::Head).unwrap();
    let mut foreign = fixture.hub.read(topics("a"), after("garbage")).unwrap();
    let Next::Gap(gap) = within(foreign.next()).await else { panic!("a gap") };
    assert_eq!((gap.newest.offset, gap.resumes_after), (1, gap.newest));
    fixture.tell("a", 2).await;
    for reader in [&mut fresh, &mut foreign] {
        assert_eq!(bodies(reader, 1).await, ["2"]);
    }
}

#[tokio::test]
async fn a_checkpoint_moves_a_quiet_reader_near_the_head_and_skips_nothing() {
    let fixture = fixture(100, HubOptions::default());
    let mut reader = fixture.hub.read(topics("quiet"), Start::Head).unwrap();
    for number in 0..5 {
        fixture.tell("busy", number).await;
    }
    fixture.flowed().await;
    assert_eq!(reader.checkpoint().offset, 5);
    fixture.tell("quiet", 6).await;
    fixture.flowed().await;
    assert_eq!(reader.checkpoint().offset, 5, "an entry that was not handed out is not skipped");
    assert_eq!(bodies(&mut reader, 1).await, ["6"]);
}

#[tokio::test]
async fn a_full_hub_admits_again_when_a_reader_leaves() {
    let fixture = fixture(100, HubOptions::default().with_max_readers(1));
    let reader = fixture.hub.read(topics("a"), Start::Head).unwrap();
    assert!(fixture.hub.read(topics("a"), Start::Head).is_err());
    drop(reader);
    let mut reader = fixture.hub.read(topics("a"), Start::Head).unwrap();
    assert_eq!(fixture.hub.readers(), 1);
    fixture.tell("a", 1).await;
    assert_eq!(bodies(&mut reader, 1).await, ["1"]);
}

#[tokio::test]
async fn closing_reaches_readers_that_wait() {
    let fixture = fixture(100, HubOptions::default());
    let mut reader = fixture.hub.read(topics("a"), Start::Head).unwrap();
    let waiting = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    fixture.hub.close();
    assert!(matches!(within(waiting).await.unwrap(), Next::Closing));
    assert!(fixture.hub.read(topics("a"), Start::Head).is_err());
}

/// The hub pushes into one feed after the other while readers of many feeds look on, on other threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_of_many_patterns_misses_nothing_while_others_publish() {
    const PATTERNS: usize = 32;
    const ENTRIES: usize = 20_000;
    let fixture = fixture(ENTRIES as u64, HubOptions::default().with_window(8, 1 << 20));
    let all: Vec<String> = (0..PATTERNS).map(|number| format!("t{number}")).collect();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut reader = fixture.hub.read(topics(&all.join(",")), Start::Head).unwrap();
            tokio::spawn(async move {
                for wanted in 1..=ENTRIES as u64 {
                    match reader.next().await {
                        Next::Entry(entry) => assert_eq!(entry.offset(), wanted),
                        other => panic!("{other:?} where {wanted} was wanted"),
                    }
                }
            })
        })
        .collect();
    for number in 0..ENTRIES {
        fixture.tell(&all[number % PATTERNS], number).await;
    }
    for reader in readers {
        within(reader).await.unwrap();
    }
}

#[tokio::test]
async fn a_hub_that_lags_behind_the_trimming_tells_its_readers() {
    let retention = Retention { max_count: 3, max_age: std::time::Duration::from_secs(3600) };
    let history = std::sync::Arc::new(MemoryHistory::new(retention));
    let hub = Hub::new(history.clone(), HubOptions::default());
    let mut reader = hub.read(topics("a"), Start::Head).unwrap();
    for number in 0..10 {
        let event = EventName::new("Happened").unwrap();
        let topic = tbx_bus::Topic::new("a").unwrap();
        let told =
            Notification::new(tbx_bus::MessageId::generate(), topic, event, number.to_string()).unwrap();
        history.append(told).await.unwrap();
    }
    // Only now does the hub follow.
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn(hub.clone().run(stop.clone()));
    let Next::Gap(gap) = within(reader.next()).await else { panic!("a gap") };
    assert_eq!(gap.resumes_after.offset, 7);
    assert_eq!(bodies(&mut reader, 3).await, ["7", "8", "9"]);
    stop.cancel();
    following.await.unwrap();
}

/// Clients that stop reading stop polling their reader, in the middle of whatever it was doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stop_half_way_do_not_keep_others_from_catching_up() {
    const ENTRIES: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention { max_count: ENTRIES as u64, max_age: std::time::Duration::from_secs(3600) };
    let path = folder.path().join("history.db");
    let history = std::sync::Arc::new(SqliteHistory::open(&path, retention).await.unwrap());
    let append = |number: usize| {
        let (history, topic) = (history.clone(), tbx_bus::Topic::new("a").unwrap());
        let event = EventName::new("Happened").unwrap();
        let told =
            Notification::new(tbx_bus::MessageId::generate(), topic, event, number.to_string()).unwrap();
        async move { history.append(told).await.unwrap() }
    };
    tokio::task::JoinSet::from_iter((0..ENTRIES).map(append)).join_all().await;
    let hub = Hub::new(history.clone(), HubOptions::default());
    let mut stalled = Vec::new();
    for _ in 0..16 {
        let mut reader = hub.read(topics("a"), Start::Oldest).unwrap();
        // Polled until it waits for the history, and never again.
        std::future::poll_fn(|cx| {
            while reader.poll_next(cx).is_ready() {}
            std::task::Poll::Ready(())
        })
        .await;
        stalled.push(reader);
    }
    let mut reader = hub.read(topics("a"), Start::Oldest).unwrap();
    assert_eq!(bodies(&mut reader, ENTRIES).await.len(), ENTRIES);
    history.check().await.unwrap();
    drop(stalled);
}
