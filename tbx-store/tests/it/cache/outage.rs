//! What an outage of Redis leaves behind.

use std::time::{Duration, Instant};

use tbx_services::Keyspace;
use tbx_store::cache::{Cache, CacheVersion, Cached};

use super::{DEADLINE, PATIENCE, back, cache, entry, read_again, two};

#[tokio::test]
async fn what_could_not_be_put_leaves_nothing_older_to_whoever_failed() {
    let keyspace = Keyspace::new();
    let [(one, relay), (other, _relay)] = two(&keyspace).await;
    for key in ["k", "other"] {
        one.put(key, entry(1)).await.unwrap();
    }
    relay.hold();
    assert!(one.put("k", entry(2)).await.is_err());
    // This one is not even tried.
    assert!(one.put("other", entry(2)).await.is_err());
    relay.release();
    back(&one).await;
    assert_eq!(other.get("other").await.unwrap(), None);
    assert!(!one.put("other", entry(1)).await.unwrap(), "the past is kept out");
    assert!(one.put("other", entry(2)).await.unwrap());
    assert_eq!(read_again(&one, "other").await, entry(2));
}

#[tokio::test]
async fn what_one_process_could_not_put_expels_what_is_older_for_the_others_as_soon_as_it_is_back() {
    let keyspace = Keyspace::new();
    let [(one, relay), (other, _relay)] = two(&keyspace).await;
    one.put("k", entry(1)).await.unwrap();
    one.put("kept", entry(1)).await.unwrap();
    assert_eq!(other.get("k").await.unwrap(), Some(entry(1)));
    relay.refuse();
    relay.cut().await;
    assert!(one.put("k", entry(2)).await.is_err());
    relay.accept();
    // Nobody asks it for anything.
    let keeping = tokio::spawn(async move { one.keep_up().await });
    let made_up = async {
        while other.get("k").await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, made_up).await.expect("made up for in time");
    assert!(!other.put("k", entry(1)).await.unwrap());
    assert_eq!(other.get("kept").await.unwrap(), Some(entry(1)), "nothing else is lost");
    keeping.abort();
}

#[tokio::test]
async fn what_was_read_before_a_change_and_could_not_be_put_does_not_come_back() {
    let keyspace = Keyspace::new();
    let [(writing, relay), (reading, relay_of_reading)] = two(&keyspace).await;
    let third = cache(&keyspace.url(), &keyspace);
    third.put("k", entry(1)).await.unwrap();
    for relay in [&relay, &relay_of_reading] {
        relay.refuse();
        relay.cut().await;
    }
    assert!(reading.put("k", entry(1)).await.is_err());
    assert!(writing.put("k", entry(2)).await.is_err());
    for number in 0..2_000 {
        assert!(writing.put(&format!("other {number}"), entry(2)).await.is_err());
    }
    relay.accept();
    back(&writing).await;
    relay_of_reading.accept();
    back(&reading).await;
    assert_eq!(third.get("k").await.unwrap(), None);
}

#[tokio::test]
async fn whoever_could_not_put_too_much_leaves_nothing_to_anybody() {
    let keyspace = Keyspace::new();
    let [(one, relay), (other, _relay)] = two(&keyspace).await;
    let gone = Cached { version: CacheVersion(u64::MAX, u64::MAX), value: None };
    one.put("k", entry(1)).await.unwrap();
    one.put("kept", entry(3)).await.unwrap();
    relay.hold();
    assert!(one.put("k", gone).await.is_err());
    for number in 0..2_000 {
        assert!(one.put(&format!("other {number}"), entry(2)).await.is_err());
    }
    relay.release();
    back(&one).await;
    for key in ["k", "kept", "other 1"] {
        assert_eq!(other.get(key).await.unwrap(), None, "{key}");
    }
    assert!(!other.put("kept", entry(2)).await.unwrap(), "what is not read any more keeps the past out");
    assert!(other.put("kept", entry(3)).await.unwrap(), "and is put again as it was");
    assert_eq!(other.get("kept").await.unwrap(), Some(entry(3)));
}

#[tokio::test]
async fn a_process_that_begins_believes_nothing_that_is_there() {
    let keyspace = Keyspace::new();
    let [one, other] = [cache(&keyspace.url(), &keyspace), cache(&keyspace.url(), &keyspace)];
    other.ping().await.unwrap();
    one.put("k", entry(1)).await.unwrap();
    // It ends with a put undone.
    drop(one);
    assert_eq!(other.get("k").await.unwrap(), Some(entry(1)));
    let next = cache(&keyspace.url(), &keyspace);
    assert_eq!(next.get("k").await.unwrap(), None);
    assert_eq!(other.get("k").await.unwrap(), None, "and nobody else does");
}

#[tokio::test]
async fn a_process_that_was_cut_off_gives_the_others_time_before_it_reads() {
    let keyspace = Keyspace::new();
    let [(one, relay), (other, relay_of_other)] = two(&keyspace).await;
    one.put("k", entry(1)).await.unwrap();
    for relay in [&relay, &relay_of_other] {
        relay.refuse();
        relay.cut().await;
    }
    assert!(one.put("k", entry(2)).await.is_err());
    assert!(other.get("k").await.is_err());
    relay_of_other.accept();
    let (began, time) = (Instant::now(), Duration::from_millis(2_500) + PATIENCE * 2);
    back(&other).await;
    loop {
        let read = other.get("k").await.unwrap();
        if began.elapsed() > time {
            break;
        }
        assert_eq!(read, None);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.accept();
    back(&one).await;
    one.put("new", entry(1)).await.unwrap();
    assert_eq!(read_again(&other, "new").await, entry(1));
    assert_eq!(other.get("k").await.unwrap(), None, "the others have made up for it");
}
