//! Who may see what, on every transport.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Empty};
use tbx_bus::TopicPattern;
use tbx_notify::TopicSet;
use tbx_notify::access::{Denied, Grant};
use tbx_notify::hub::HubOptions;
use tbx_notify::poll::PollService;
use tbx_notify::sse::SseService;
use tbx_notify::websocket::WebSocketService;
use tokio::time::Instant;
use tower::ServiceExt;

use super::support::{Fixture, fixture, within};
use super::websocket_client::Client;

/// Clients say in the query who they are.
fn by_name(request: &Parts) -> Result<Grant, Denied> {
    match request.uri.query().unwrap_or_default().split('&').find_map(|part| part.strip_prefix("me=")) {
        Some(name) => Ok(Grant::topics(TopicSet::parse(&format!("public.#,$user.{name}.#")).unwrap())),
        None => Err(Denied::unauthenticated("say who you are")),
    }
}

async fn sse_status(fixture: &Fixture, uri: &str) -> u16 {
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let service = SseService::new(fixture.hub.clone()).with_access(by_name);
    service.oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_client_gets_what_it_may_see_and_may_not_ask_for_more() {
    let fixture = fixture(100, HubOptions::default());
    for (uri, status) in [
        ("/", 401),
        ("/?me=ann", 200),
        ("/?me=ann&topics=public.news,$user.ann.mail", 200),
        ("/?me=ann&topics=$user.bob.mail", 403),
        ("/?me=ann&topics=public.news,%23", 403),
    ] {
        assert_eq!(sse_status(&fixture, uri).await, status, "{uri}");
        let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
        let polled =
            PollService::new(fixture.hub.clone()).with_access(by_name).oneshot(request).await.unwrap();
        assert_eq!(polled.status(), status, "{uri}");
    }
}

#[tokio::test]
async fn a_websocket_is_closed_with_the_code_of_the_denial() {
    let fixture = fixture(100, HubOptions::default());
    let service = WebSocketService::new(fixture.hub.clone()).with_access(by_name);
    assert_eq!(Client::connect(&service, "/").await.closed().await, 4401);
    assert_eq!(Client::connect(&service, "/?me=ann&topics=%23").await.closed().await, 4403);
    let mut client = Client::connect(&service, "/?me=ann").await;
    client.hear_of("connected").await;
    client.say(r#"{"type":"subscribe","topics":["$user.bob.#"]}"#).await;
    assert_eq!(client.hear_of("error").await["code"], "topic-not-allowed");
    for (number, topic) in ["$user.bob.mail", "secret", "$user.ann.mail", "public.a"].into_iter().enumerate()
    {
        fixture.tell(topic, number).await;
    }
    assert_eq!(client.numbers(2).await, [(2, false), (3, false)]);
}

#[tokio::test]
async fn a_grant_in_the_extensions_of_the_request_is_found() {
    let fixture = fixture(100, HubOptions::default());
    let mut request = Request::get("/?topics=%23").body(Empty::<Bytes>::new()).unwrap();
    request.extensions_mut().insert(Grant::topics(TopicSet::parse("a").unwrap()));
    let response = SseService::new(fixture.hub.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_grant() {
    let fixture = fixture(100, HubOptions::default());
    let shortly = |_: &Parts| Ok(Grant::everything().until(Instant::now() + Duration::from_secs(40)));
    let before = Instant::now();

    let service = WebSocketService::new(fixture.hub.clone()).with_access(shortly);
    let mut client = Client::connect(&service, "/").await;
    assert_eq!(client.closed().await, 4401);
    assert_eq!(before.elapsed().as_secs(), 40);

    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let stream = SseService::new(fixture.hub.clone()).with_access(shortly).oneshot(request).await.unwrap();
    let text = tokio::time::timeout(Duration::from_secs(60), stream.into_body().collect()).await.unwrap();
    let text = String::from_utf8(text.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.contains("\n\nretry: "), "a browser comes back with a new token: {text}");
    assert_eq!(before.elapsed().as_secs(), 80);
    within(async { assert_eq!(fixture.hub.readers(), 0) }).await;
}

/// The example of [`Access`](tbx_notify::access::Access), word for word.
fn by_room(request: &Parts) -> Result<Grant, Denied> {
    let room = request.headers.get("x-room").and_then(|room| room.to_str().ok()?.parse::<u64>().ok());
    let room = room.ok_or_else(|| Denied::unauthenticated("say the number of your room with X-Room"))?;
    TopicSet::parse(&format!("room.{room}.#"))
        .map(Grant::topics)
        .map_err(|_| Denied::forbidden("no such room"))
}

#[test]
fn the_example_of_access_lets_nobody_into_another_room() {
    let grant =
        |room: &str| by_room(&Request::get("/").header("x-room", room).body(()).unwrap().into_parts().0);
    let pattern = |text: &str| TopicPattern::new(text).unwrap();
    let own = grant("7").unwrap();
    assert!(own.covers(&pattern("room.7.door.*")));
    assert!(!own.covers(&pattern("room.8.#")) && !own.covers(&pattern("room.#")));
    for room in ["#", "*", "7,#", "7,$admin", "7.#,room.8", ""] {
        assert!(grant(room).is_err(), "X-Room: {room}");
    }
}
