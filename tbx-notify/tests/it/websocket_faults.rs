//! What strangers do to the WebSocket service.

use bytes::Bytes;
use futures_util::SinkExt;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tbx_notify::hub::HubOptions;
use tbx_notify::websocket::{Origins, WebSocketOptions, WebSocketService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use super::support::{Fixture, fixture, within};
use super::websocket_client::{Client, open, opening};

fn service(fixture: &Fixture) -> WebSocketService {
    WebSocketService::new(fixture.hub.clone())
}

#[tokio::test]
async fn a_mistake_is_told_and_the_connection_stays() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/").await;
    client.hear_of("connected").await;
    for (text, code) in [
        ("{", "bad-request"),
        (r#"{"type":"shout"}"#, "bad-request"),
        (r#"{"type":"subscribe","topics":["a..b"]}"#, "bad-request"),
    ] {
        client.say(text).await;
        assert_eq!(client.hear_of("error").await["code"], code, "{text}");
    }
    fixture.tell("a", 1).await;
    assert_eq!(client.numbers(1).await, [(1, false)]);
}

#[tokio::test]
async fn more_patterns_than_a_connection_may_have_are_refused_and_it_keeps_those_it_has() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/?topics=a").await;
    client.hear_of("connected").await;
    let topics: Vec<String> = (0..32).map(|number| format!("\"t{number}\"")).collect();
    client.say(&format!(r#"{{"type":"subscribe","topics":[{}]}}"#, topics.join(","))).await;
    assert_eq!(client.hear_of("error").await["code"], "too-many-topics");
    fixture.tell("a", 1).await;
    assert_eq!(client.numbers(1).await, [(1, false)]);
}

#[tokio::test]
async fn a_flood_of_messages_is_closed_with_4429() {
    let fixture = fixture(100, HubOptions::default());
    let service = service(&fixture).with_message_rate(100, 1);
    let mut client = Client::connect(&service, "/?topics=").await;
    client.hear_of("connected").await;
    for number in 0..200 {
        let text = format!(r#"{{"type":"subscribe","topics":["t{number}"]}}"#);
        if client.0.send(Message::text(text)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await, 4429);
}

#[tokio::test]
async fn a_query_that_cannot_be_served_is_told_by_a_close_code() {
    let fixture = fixture(100, HubOptions::default().with_max_readers(1));
    let service = service(&fixture);
    for (uri, code) in [
        ("/?topics=a..b".to_owned(), 4400),
        ("/?from=noon".to_owned(), 4400),
        (format!("/?topics={}", (0..33).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",")), 4429),
    ] {
        let mut client = Client::connect(&service, &uri).await;
        assert_eq!(client.closed().await, code, "{uri}");
    }
    let mut only = Client::connect(&service, "/").await;
    only.hear_of("connected").await;
    assert_eq!(Client::connect(&service, "/").await.closed().await, 1013);
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_with_its_code() {
    let fixture = fixture(100, HubOptions::default());
    let service = service(&fixture).with_options(WebSocketOptions::default().with_max_message(1_000));
    let long = "x".repeat(1_001);
    for (message, code) in [(Message::binary("x"), 1003), (Message::text(long), 1009)] {
        let mut client = Client::connect(&service, "/").await;
        client.hear_of("connected").await;
        client.0.send(message).await.unwrap();
        assert_eq!(client.closed().await, code);
    }
    for (bytes, code) in [
        // Not masked; a reserved bit; an unknown opcode; a fragmented ping; text that is no UTF-8; a frame of 2^63 bytes.
        (&[0x81, 1, b'x'][..], 1002),
        (&[0xc1, 0x81, 0, 0, 0, 0, b'x'], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x09, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
        (&[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009),
    ] {
        let (response, mut wire) = open(&service, "/?topics=").await;
        assert_eq!(response.status(), 101);
        wire.write_all(bytes).await.unwrap();
        wire.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within(wire.read_to_end(&mut answer)).await.unwrap();
        let close = [u16::to_be_bytes(code), [0, 0]].concat();
        let found = answer.windows(4).any(|part| part[0] == 0x88 && part[2..] == close[..2]);
        assert!(found, "{bytes:x?} is answered with {code}: {answer:x?}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_none_says_what_is_missing() {
    let fixture = fixture(100, HubOptions::default());
    let ask = |edit: fn(&mut Request<Empty<Bytes>>)| {
        let (mut request, _far) = opening("/", 1);
        edit(&mut request);
        service(&fixture).oneshot(request)
    };
    let plain = within(ask(|request| request.headers_mut().clear())).await.unwrap();
    assert_eq!((plain.status().as_u16(), &plain.headers()["upgrade"]), (426, &"websocket".parse().unwrap()));
    let old =
        ask(|r| drop(r.headers_mut().insert("sec-websocket-version", "8".parse().unwrap()))).await.unwrap();
    assert_eq!(
        (old.status().as_u16(), &old.headers()["sec-websocket-version"]),
        (426, &"13".parse().unwrap())
    );
    let keyless = ask(|request| drop(request.headers_mut().remove("sec-websocket-key"))).await.unwrap();
    assert_eq!(keyless.status(), 400);
    let posted = ask(|request| *request.method_mut() = http::Method::POST).await.unwrap();
    assert_eq!((posted.status().as_u16(), &posted.headers()["allow"]), (405, &"GET".parse().unwrap()));
    let severed = ask(|request| request.extensions_mut().clear()).await.unwrap();
    assert_eq!(severed.status(), 501);
    let text = String::from_utf8(severed.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.contains("does not hand its connections over"), "{text}");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_unless_it_is_listed() {
    let fixture = fixture(100, HubOptions::default());
    let status = async |service: WebSocketService| {
        let (mut request, _far) = opening("/", 1);
        request.headers_mut().insert("host", "here.example".parse().unwrap());
        request.headers_mut().insert("origin", "https://there.example".parse().unwrap());
        service.oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(status(service(&fixture)).await, 403);
    let listed = Origins::Listed(vec!["https://there.example".to_owned()]);
    assert_eq!(status(service(&fixture).with_origins(listed)).await, 101);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_no_sign_of_life_is_let_go() {
    let fixture = fixture(100, HubOptions::default());
    let (_, mut wire) = open(&service(&fixture), "/?topics=").await;
    let mut heard = Vec::new();
    // Reads, and answers nothing: the connection ends all the same.
    wire.read_to_end(&mut heard).await.unwrap();
    assert_eq!(fixture.hub.readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go_after_ten_seconds() {
    let fixture = fixture(10_000, HubOptions::default());
    let (request, _wire) = opening("/", 1 << 10);
    service(&fixture).oneshot(request).await.unwrap();
    for number in 0..100 {
        fixture.tell("a", number).await;
    }
    let before = tokio::time::Instant::now();
    while fixture.hub.readers() > 0 {
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
    }
    assert!((9..13).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}
