//! Event streams.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tbx_it::{EventStream, Resuming, Setup, eventually, within};

use crate::support::{
    CHANGES, STREAM, ada, at_rest, connected, created, delete, get, next, nth, problem, publish, put,
};

/// Publishes one after the other and waits for none of them.
async fn publish_all(notifier: SocketAddr, topics: &[&str]) {
    for topic in topics {
        assert_eq!(publish(notifier, topic, "Said", &json!(topic)).await.status, 202, "{topic}");
    }
}

/// The data of what comes next.
async fn said(stream: &mut EventStream, count: usize) -> Vec<Value> {
    let mut said = Vec::new();
    for _ in 0..count {
        said.push(next(stream).await.json());
    }
    said
}

#[tokio::test]
async fn a_stream_begins_by_saying_where_it_begins() {
    let tbx = Setup::new().start().await;
    created(&mut tbx.api(), &ada()).await;
    at_rest(tbx.address("api"), "1").await;
    let mut stream = tbx.stream(STREAM, None).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert!(stream.headers["cache-control"].to_str().unwrap().contains("no-cache"));
    let greeting = next(&mut stream).await;
    assert_eq!(greeting.event, "connected");
    let data = greeting.json();
    assert_eq!(data["position"], greeting.id.as_str());
    assert!(data["clientId"].as_str().is_some_and(|id| !id.is_empty()), "{data}");
    assert!(greeting.id.is_ascii() && greeting.id.len() <= 64 && !greeting.id.is_empty());
    let other = connected(tbx.address("notifier"), STREAM, Some(&greeting.id)).await;
    assert_eq!(other.last_id(), greeting.id, "a resumed one begins where it was asked to");
}

#[tokio::test]
async fn a_stream_has_what_its_patterns_want_and_each_notification_once() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    let all = ["a", "a.b", "a.b.c", "c.b", "end"];
    // Each stream begins where the one before has read to the end.
    let mut position = connected(address, STREAM, None).await.last_id().to_owned();
    for (query, wanted) in [
        ("topics=a.*,end", vec!["a.b", "end"]),
        ("topics=a.%23,end", vec!["a", "a.b", "a.b.c", "end"]),
        ("topics=*.b&topics=end", vec!["a.b", "c.b", "end"]),
        ("topics=a.b,a.*,*.b,%23,end", all.to_vec()),
        ("topics=%23", all.to_vec()),
        ("topics=%23.b%20,%20end", vec!["a.b", "c.b", "end"]),
        ("", all.to_vec()),
    ] {
        let mut stream = connected(address, &format!("{STREAM}?{query}"), Some(&position)).await;
        publish_all(address, &all).await;
        let wanted: Vec<Value> = wanted.into_iter().map(Value::from).collect();
        assert_eq!(said(&mut stream, wanted.len()).await, wanted, "{query}");
        stream.last_id().clone_into(&mut position);
    }
}

#[tokio::test]
async fn the_stream_of_students_has_all_of_theirs_and_nothing_else() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    let mut api = tbx.api();
    let mut students = connected(address, "/api/notifications/students/stream", None).await;
    let mut deletions = connected(address, "/api/notifications/stream?topics=student.deleted", None).await;
    publish_all(address, &["other.topic"]).await;
    created(&mut api, &ada()).await;
    put(&mut api, "1", &nth(1)).await;
    at_rest(tbx.address("api"), "1").await;
    delete(&mut api, "1").await;
    let mut told = Vec::new();
    while told.last().is_none_or(|name| name != "StudentDeleted") {
        told.push(next(&mut students).await.event);
    }
    told.retain(|name| name != "StudentCached");
    assert_eq!(told, ["StudentCreated", "StudentUpdated", "StudentDeleted"], "in the order of the student");
    assert_eq!(next(&mut deletions).await.event, "StudentDeleted");
}

#[tokio::test]
async fn a_reader_resumes_after_the_last_id_it_brings() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    publish_all(address, &["a.one", "a.two", "b.three", "a.four"]).await;
    let mut all = connected(address, &format!("{STREAM}?from=oldest"), None).await;
    let one = next(&mut all).await;
    assert_eq!(said(&mut all, 3).await, ["a.two", "b.three", "a.four"]);

    let mut by_header = connected(address, &format!("{STREAM}?topics=a.*"), Some(&one.id)).await;
    assert_eq!(said(&mut by_header, 2).await, ["a.two", "a.four"]);
    let mut by_query = connected(address, &format!("{STREAM}?lastEventId={}", one.id), None).await;
    assert_eq!(said(&mut by_query, 3).await, ["a.two", "b.three", "a.four"]);
    let both = format!("{STREAM}?lastEventId={}", one.id);
    let mut header_first = connected(address, &both, Some(all.last_id())).await;
    publish_all(address, &["a.five"]).await;
    assert_eq!(said(&mut header_first, 1).await, ["a.five"]);
    // Those that caught up go on with what is new.
    assert_eq!(said(&mut by_header, 1).await, ["a.five"]);
    assert_eq!(said(&mut by_query, 1).await, ["a.five"]);
}

#[tokio::test]
async fn a_position_that_means_nothing_is_answered_with_a_gap() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    publish_all(address, &["a.one", "a.two"]).await;
    let head = eventually("a fresh stream begins after both", || async {
        let head = connected(address, STREAM, None).await.last_id().to_owned();
        if head.ends_with("-2") { Ok(head) } else { Err(head) }
    })
    .await;
    let beyond = head.replace("-2", "-99");
    for garbage in ["garbage", "0", "-1", "ffffffffffffffff-1", "a\"b", &beyond, &"9".repeat(500)] {
        let mut stream = connected(address, STREAM, Some(garbage)).await;
        let gap = next(&mut stream).await;
        let data = gap.json();
        assert_eq!((gap.event.as_str(), &data["reason"]), ("gap", &json!("unknown")), "{garbage}");
        assert!(data["requested"].as_str().is_some_and(|text| garbage.starts_with(text)), "{data}");
        assert!(data["oldest"].is_string() && data["newest"] == head.as_str(), "{data}");
        assert_eq!(gap.id, head, "it goes on from the head");

        let mut stream = connected(address, &format!("{STREAM}?from=oldest"), Some(garbage)).await;
        assert_eq!(next(&mut stream).await.event, "gap");
        assert_eq!(said(&mut stream, 2).await, ["a.one", "a.two"], "or from the oldest when asked to");
    }
}

#[tokio::test]
async fn a_reader_of_what_is_no_longer_kept_is_told_and_goes_on_from_the_oldest() {
    let tbx = Setup::new().with("TBX_HISTORY_MAX_COUNT", "10").start().await;
    let address = tbx.address("notifier");
    let start = connected(address, STREAM, None).await.last_id().to_owned();
    for n in 0..100 {
        assert_eq!(publish(address, "a.b", "Said", &json!(n)).await.status, 202);
    }
    let (mut stream, gap) = eventually("what is too much is no longer kept", || async {
        let mut stream = connected(address, STREAM, Some(&start)).await;
        let first = next(&mut stream).await;
        // Trimmed while it is read, the history has still what was asked for.
        let settled = first.event == "gap" && first.json()["oldest"] == first.id.as_str();
        if settled { Ok((stream, first)) } else { Err(first.data) }
    })
    .await;
    let data = gap.json();
    assert_eq!(
        (gap.event.as_str(), &data["reason"], &data["requested"]),
        ("gap", &json!("trimmed"), &json!(start))
    );
    let mut last = next(&mut stream).await.json().as_u64().unwrap();
    assert!(last > 0);
    while last < 99 {
        let after = next(&mut stream).await.json().as_u64().unwrap();
        assert_eq!(after, last + 1, "without a further hole");
        last = after;
    }
}

#[tokio::test]
async fn patterns_that_cannot_be_used_are_refused() {
    let tbx = Setup::new().start().await;
    let patterns = |count: usize| (0..count).map(|n| format!("a.n{n}")).collect::<Vec<_>>().join(",");
    connected(tbx.address("notifier"), &format!("{STREAM}?topics={}", patterns(32)), None).await;
    for query in [
        format!("topics={}", patterns(33)),
        "topics=%ff".to_owned(),
        "topics=a..b".to_owned(),
        "topics=.a".to_owned(),
        "topics=a*".to_owned(),
        "topics=a%00b".to_owned(),
        "topics=a%0Ab".to_owned(),
        format!("topics={}", "a".repeat(300)),
        "from=noon".to_owned(),
    ] {
        let answer = tbx.notifier().get(&format!("{STREAM}?{query}")).await.unwrap();
        problem(&answer, 400, "malformed-request");
    }
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_and_near_the_head() {
    let tbx = Setup::new().with("TBX_KEEP_ALIVE", "200ms").start().await;
    let address = tbx.address("notifier");
    let mut quiet = connected(address, &format!("{STREAM}?topics=nothing.ever"), None).await;
    created(&mut tbx.api(), &ada()).await;
    at_rest(tbx.address("api"), "1").await;
    publish_all(address, &["other.topic"]).await;
    let mut api = tbx.api();
    within("the checkpoint", async {
        while quiet.last_id() != get(&mut api, "1").await.header("stream-position") {
            let nothing = tokio::time::timeout(Duration::from_millis(50), quiet.next()).await;
            assert!(nothing.is_err(), "a checkpoint is no event: {nothing:?}");
        }
    })
    .await;
    publish_all(address, &["nothing.ever"]).await;
    assert_eq!(said(&mut quiet, 1).await, ["nothing.ever"]);
}

#[tokio::test]
async fn a_reader_gets_exactly_what_it_missed_when_the_process_starts_again() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    let mut reader = Resuming::new(CHANGES);
    reader.connect(tbx.address("notifier")).await.unwrap();
    let mut told = Vec::new();
    assert_eq!(within("the greeting", reader.next()).await.unwrap().event, "connected");
    for n in 1..=5 {
        created(&mut tbx.api(), &nth(n)).await;
        told.push(within("an event", reader.next()).await.unwrap().json()["student"]["number"].clone());
    }
    tbx.terminate().await;
    while within("the end of the stream", reader.next()).await.is_some() {}
    assert!(tbx.ended().await.0.success());

    let tbx = setup.start().await;
    for n in 6..=9 {
        created(&mut tbx.api(), &nth(n)).await;
        at_rest(tbx.address("api"), &n.to_string()).await;
    }
    reader.connect(tbx.address("notifier")).await.unwrap();
    assert_eq!(within("the greeting", reader.next()).await.unwrap().event, "connected");
    created(&mut tbx.api(), &nth(10)).await;
    while told.len() < 10 {
        let event = within("an event", reader.next()).await.unwrap();
        assert_eq!(event.event, "StudentCreated");
        told.push(event.json()["student"]["number"].clone());
    }
    assert_eq!(told, (1..=10).map(Value::from).collect::<Vec<_>>());
}
