//! Readers: live, catching up, and everything in between.

use tbx_notify::hub::{From, GapReason, HubOptions, Next, Start};
use tbx_notify::{Position, TopicSet};

use super::support::{bodies, fixture, within};

fn topics(text: &str) -> TopicSet {
    TopicSet::parse(text).unwrap()
}

fn after(position: impl ToString) -> Start {
    Start::After { position: position.to_string(), otherwise: From::Head }
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
    let start = Start::After { position: "garbage".to_owned(), otherwise: From::Oldest };
    let mut reader = fixture.hub.read(topics("a"), start).unwrap();
    assert!(matches!(within(reader.next()).await, Next::Gap(_)));
    assert_eq!(bodies(&mut reader, 1).await, ["1"]);
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
