//! How the process ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tbx_it::{Client, EventStream, Setup, eventually, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{
    CHANGES, STREAM, STUDENTS, ada, at_rest, connected, id, next, nth, post, publish, read_answer,
};

#[tokio::test]
async fn streams_are_told_when_to_come_back_and_end() {
    let tbx = Setup::new().start().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(connected(tbx.address("notifier"), STREAM, None).await);
    }
    tbx.terminate().await;
    for mut stream in streams {
        assert_eq!(within("the end", stream.next()).await, None);
        assert!(stream.retry.is_some_and(|retry| (1_000..=10_000).contains(&retry)), "{:?}", stream.retry);
    }
    let (status, log) = tbx.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
}

/// A request to `path` whose last byte is held back.
async fn under_way(address: SocketAddr, path: &str, body: &Value) -> (TcpStream, String) {
    let body = body.to_string();
    let (most, last) = body.split_at(body.len() - 1);
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{most}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    (socket, last.to_owned())
}

/// Waits until nobody is sent to the process any more.
async fn refusing(address: SocketAddr) {
    eventually("not ready", || async move {
        match Client::new(address).get("/health/ready").await {
            Ok(answer) if answer.status == 200 => Err("still ready".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_under_way_is_answered_and_no_other_request_let_in() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    let (mut write, last) = under_way(tbx.address("api"), STUDENTS, &ada()).await;
    // The answer to a later request shows that the server has begun with the one before.
    assert_eq!(tbx.api().get("/health/ready").await.unwrap().status, 200);
    tbx.terminate().await;
    for service in ["api", "notifier", "worker"] {
        refusing(tbx.address(service)).await;
    }
    write.write_all(last.as_bytes()).await.unwrap();
    let answer = read_answer(&mut write).await;
    assert_eq!(answer.status, 201);
    let (status, log) = tbx.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");

    let tbx = setup.start().await;
    assert_eq!(at_rest(tbx.address("api"), "1").await.json()["id"], answer.json()["id"]);
}

#[tokio::test]
async fn a_notification_under_way_is_taken() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    let notification = json!({ "topic": "a.b", "event": "Said", "data": 1 });
    let (mut said, last) = under_way(tbx.address("notifier"), "/api/notifications", &notification).await;
    assert_eq!(tbx.notifier().get("/health/ready").await.unwrap().status, 200);
    tbx.terminate().await;
    for service in ["api", "notifier", "worker"] {
        refusing(tbx.address(service)).await;
    }
    said.write_all(last.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut said).await.status, 202);
    let (status, log) = tbx.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");

    let tbx = setup.start().await;
    let mut stream = connected(tbx.address("notifier"), &format!("{STREAM}?from=oldest"), None).await;
    assert_eq!(next(&mut stream).await.json(), 1);
}

#[tokio::test]
async fn who_does_not_finish_is_cut_off_after_the_drain() {
    let tbx = Setup::new().with("TBX_DRAIN_TIMEOUT", "300ms").start().await;
    let (_socket, _) = under_way(tbx.address("api"), STUDENTS, &ada()).await;
    // Reads nothing, so its end cannot be written.
    let _stream = EventStream::connect(tbx.address("notifier"), STREAM, None).await.unwrap();
    tbx.terminate().await;
    let (status, log) = tbx.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_stop_under_load_loses_no_write_and_tells_each_once() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    let (api, notifier) = (tbx.address("api"), tbx.address("notifier"));
    let mut stream = connected(notifier, CHANGES, None).await;
    let reader = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some(event) = stream.next().await {
            told.push(event.json());
        }
        (told, stream.last_id().to_owned())
    });
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            tokio::spawn(async move {
                let (mut client, mut acknowledged) = (Client::new(api), Vec::new());
                for n in 0.. {
                    let answer = client.json(http::Method::POST, STUDENTS, &nth(writer * 100_000 + n)).await;
                    match answer {
                        Ok(answer) if answer.status == 201 => acknowledged.push(id(&answer.json())),
                        _ => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    eventually("load", || async {
        let page = Client::new(api).get("/api/students?limit=200&sort=-number").await.unwrap().json();
        let newest = page["items"][0]["number"].as_u64().unwrap_or_default();
        if newest >= 100 { Ok(()) } else { Err(newest.to_string()) }
    })
    .await;
    tbx.terminate().await;
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(within("the writer ends", writer).await.unwrap());
    }
    let (mut told, last_id) = within("the stream ends", reader).await.unwrap();
    let (status, log) = tbx.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(acknowledged.len() >= 90, "{}", acknowledged.len());

    let tbx = setup.start().await;
    for id in &acknowledged {
        let rested = at_rest(tbx.address("api"), id).await;
        assert_eq!(rested.json()["version"], 1, "{id}");
    }
    let last = id(&post(&mut tbx.api(), &ada()).await.json());
    at_rest(tbx.address("api"), &last).await;
    let mut stream = connected(tbx.address("notifier"), "/api/notifications/stream", Some(&last_id)).await;
    let is_of = |body: &Value, id: &String| body["student"]["id"] == id.as_str();
    while !acknowledged.iter().chain([&last]).all(|id| told.iter().any(|body| is_of(body, id))) {
        told.push(next(&mut stream).await.json());
    }
    assert_eq!(publish(tbx.address("notifier"), "test.end", "End", &Value::Null).await.status, 202);
    loop {
        let event = next(&mut stream).await;
        if event.event == "End" {
            break;
        }
        told.push(event.json());
    }
    let mut times = BTreeMap::new();
    for body in told.iter().filter(|body| body["eventType"] == "StudentCreated") {
        *times.entry(body["student"]["id"].to_string()).or_insert(0) += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(acknowledged.iter().all(|id| times.contains_key(&format!("\"{id}\""))));
}

/// Browsers open connections in advance, and keep used ones for later.
#[tokio::test]
async fn sockets_without_a_request_do_not_hold_up_the_stop() {
    let tbx = Setup::new().start().await;
    let mut kept = tbx.api();
    assert_eq!(kept.get("/health/live").await.unwrap().status, 200);
    let mut silent = Vec::new();
    for service in ["api", "notifier", "worker"] {
        silent.push(TcpStream::connect(tbx.address(service)).await.unwrap());
    }
    // Accepted in the order they came: once a later one is answered, the silent ones are in.
    for service in ["api", "notifier", "worker"] {
        assert_eq!(Client::new(tbx.address(service)).get("/health/live").await.unwrap().status, 200);
    }
    let started = Instant::now();
    tbx.terminate().await;
    let (status, log) = tbx.ended().await;
    assert!(status.success(), "{log}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
