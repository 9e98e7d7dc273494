//! JSON catch-up and long poll.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use tbx_notify::hub::HubOptions;
use tbx_notify::poll::PollService;
use tower::ServiceExt;

use super::support::{Fixture, fixture, within};

async fn get(fixture: &Fixture, uri: &str) -> (u16, Value) {
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = within(PollService::new(fixture.hub.clone()).oneshot(request)).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn asking_again_with_next_misses_nothing_and_repeats_nothing() {
    let fixture = fixture(1_000, HubOptions::default());
    let (_, first) = get(&fixture, "/?topics=a").await;
    assert_eq!(first, json!({"items": [], "next": fixture.hub.head().to_string()}));
    for number in 0..200 {
        fixture.tell(["a", "b"][number % 2], number).await;
    }
    fixture.flowed().await;
    let (mut next, mut numbers) = (first["next"].as_str().unwrap().to_owned(), Vec::new());
    loop {
        let (_, page) = get(&fixture, &format!("/?topics=a&after={next}&limit=7")).await;
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            break;
        }
        assert!(items.len() <= 7 && page.get("gap").is_none());
        numbers.extend(items.iter().map(|item| item["data"].as_u64().unwrap()));
        page["next"].as_str().unwrap().clone_into(&mut next);
    }
    assert_eq!(numbers, (0..200).step_by(2).collect::<Vec<u64>>());
    assert_eq!(next, fixture.hub.head().to_string(), "what is of no interest is passed over");
}

#[tokio::test]
async fn what_is_stored_when_a_client_asks_is_in_the_answer() {
    let fixture = fixture(100, HubOptions::default());
    let start = fixture.hub.head();
    fixture.tell("a", 1).await;
    assert_eq!(fixture.hub.head(), start, "the hub has not heard of it");
    let (_, answer) = get(&fixture, &format!("/?after={start}")).await;
    assert_eq!(answer["items"][0]["data"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_answers_as_soon_as_there_is_something() {
    let fixture = fixture(100, HubOptions::default());
    let before = tokio::time::Instant::now();
    let (told, (_, answer)) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            fixture.tell("a", 1).await
        },
        get(&fixture, "/?wait=15"),
    );
    assert_eq!(before.elapsed().as_secs(), 7);
    assert_eq!((answer["items"][0]["data"].as_u64(), told), (Some(1), 1));

    let (_, nothing) = get(&fixture, "/?wait=3").await;
    assert_eq!((nothing["items"].as_array().unwrap().len(), before.elapsed().as_secs()), (0, 10));
}

#[tokio::test]
async fn a_gap_is_told_beside_the_items() {
    let fixture = fixture(2, HubOptions::default().with_window(1, 1 << 20));
    let start = fixture.hub.head();
    for number in 0..5 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let (_, trimmed) = get(&fixture, &format!("/?after={start}")).await;
    assert_eq!(trimmed["gap"]["reason"], "trimmed");
    assert_eq!(trimmed["items"].as_array().unwrap().len(), 2);
    let (_, unknown) = get(&fixture, "/?after=elsewhere-1").await;
    assert_eq!(
        (unknown["gap"]["reason"].as_str(), unknown["items"].as_array().unwrap().len()),
        (Some("unknown"), 0)
    );
    let (_, all) = get(&fixture, "/?after=elsewhere-1&from=oldest").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_or_served_is_a_problem() {
    let fixture = fixture(100, HubOptions::default().with_max_readers(0));
    for (uri, status, code) in [
        ("/?topics=a..b", 400, "malformed-request"),
        ("/?limit=many", 400, "malformed-request"),
        ("/?wait=forever", 400, "malformed-request"),
        ("/", 503, "unavailable"),
    ] {
        let (found, problem) = get(&fixture, uri).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{uri}");
    }
}
