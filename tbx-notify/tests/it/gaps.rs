//! When a gap is told, and when not.

use std::sync::Arc;

use tbx_notify::TopicSet;
use tbx_notify::hub::{Fallback, GapReason, HubOptions, Next, Start};

use super::support::{Meddled, bodies, fixture, fixture_over, notification, within};

#[tokio::test]
async fn a_gap_comes_before_the_end() {
    let fixture = fixture(100, HubOptions::default());
    fixture.tell("a", 1).await;
    fixture.flowed().await;
    let start = Start::After { position: "garbage".to_owned(), otherwise: Fallback::Head };
    let mut reader = fixture.hub.read(TopicSet::everything(), start).unwrap();
    fixture.hub.close();
    let next = within(reader.next()).await;
    assert!(matches!(&next, Next::Gap(gap) if gap.reason == GapReason::Unknown), "{next:?}");
    assert!(matches!(within(reader.next()).await, Next::Closing));
}

#[tokio::test]
async fn what_is_trimmed_just_after_it_was_read_is_no_gap() {
    let history = Arc::new(Meddled::new(5));
    let fixture = fixture_over(history.inner.clone(), history.clone(), HubOptions::default());
    for number in 0..5 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    *history.appended_after_reading.lock().unwrap() = Some(notification("other", "trims the first"));
    let mut reader = fixture.hub.read(TopicSet::parse("a").unwrap(), Start::Oldest).unwrap();
    assert_eq!(bodies(&mut reader, 5).await, ["0", "1", "2", "3", "4"]);
    assert!(history.appended_after_reading.lock().unwrap().is_none(), "it was read from the history");
}
