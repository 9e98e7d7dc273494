//! Clients that mean no good, and those that do not know better: each is answered as documented, the others notice nothing, and nothing is lost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tbx_it::{Client, EventStream, Setup, Tbx, eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::{CHANGES, STUDENTS, connected, created, next, nth, problem, raw};

const NOTIFICATIONS: &str = "/api/notifications";

/// A request as it goes over the wire.
fn request(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn with_json(address: SocketAddr, line: &str, body: &Value) -> String {
    request(address, line, "content-type: application/json\r\n", &body.to_string())
}

fn named(first_name: &str, email: &str) -> Value {
    json!({ "firstName": first_name, "lastName": "L", "email": email })
}

fn said(topic: &str, event: &str) -> Value {
    json!({ "topic": topic, "event": event, "data": 1 })
}

/// Nothing panicked, and nothing was logged that somebody would have to look into.
#[track_caller]
fn assert_calm(tbx: &Tbx) {
    let log = tbx.log();
    let bad = |line: &&str| line.contains("\"level\":\"ERROR\"") || line.contains("panicked");
    let lines: Vec<&str> = log.lines().filter(bad).collect();
    assert_eq!(lines, Vec::<&str>::new());
}

/// Creates a student and sees it told.
async fn written_and_told(tbx: &Tbx, stream: &mut EventStream, n: usize) {
    let student = created(&mut tbx.api(), &nth(n)).await;
    let event = next(stream).await;
    assert_eq!((event.event.as_str(), &event.json()["student"]["id"]), ("StudentCreated", &student["id"]));
}

#[tokio::test]
async fn bad_requests_to_the_api_are_answered_as_documented_and_nothing_is_lost() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("api");
    let mut stream = connected(tbx.address("notifier"), CHANGES, None).await;
    written_and_told(&tbx, &mut stream, 1).await;

    let (post, list) = (format!("POST {STUDENTS}"), format!("GET {STUDENTS}"));
    let json = "content-type: application/json\r\n";
    let (long, large) = ("a".repeat(101), " ".repeat((256 << 10) + 1));
    let valid = nth(2).to_string();
    let ask = |line: &str, headers: &str, body: &str| request(address, line, headers, body);
    let send = |body: &Value| with_json(address, &post, body);
    let announced =
        format!("{post} HTTP/1.1\r\nhost: {address}\r\n{json}content-length: 999999999999\r\n\r\n");
    let chunked = format!(
        "{post} HTTP/1.1\r\nhost: {address}\r\n{json}transfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    for (status, code, bytes) in [
        (400, "malformed-request", ask(&post, json, "{\"firstName\":")),
        (400, "malformed-request", ask(&post, json, "\0")),
        (422, "invalid-fields", send(&json!({ "firstName": 1, "lastName": [], "email": {} }))),
        (422, "invalid-fields", send(&json!({}))),
        (422, "invalid-fields", send(&json!(null))),
        (422, "invalid-fields", send(&named(&long, "a@b.co"))),
        (422, "invalid-fields", send(&named("A\0", "a@b.co"))),
        (422, "invalid-fields", send(&named("A\u{1b}[2J", "a@b.co"))),
        (422, "invalid-fields", send(&named("\u{200b}", "a@b.co"))),
        (422, "invalid-fields", send(&named("A", "nobody"))),
        (422, "invalid-fields", send(&named("A", "a@b.co\r\nBcc: c@d.co"))),
        (422, "invalid-fields", send(&named("A", &format!("{}@b.co", "a".repeat(300))))),
        (409, "email-taken", send(&nth(1))),
        (404, "not-found", ask(&format!("GET {STUDENTS}/2"), "", "")),
        (404, "not-found", ask(&format!("GET {STUDENTS}/01"), "", "")),
        (404, "not-found", ask(&format!("GET {STUDENTS}/{}", "9".repeat(5000)), "", "")),
        (404, "not-found", ask(&format!("DELETE {STUDENTS}/..%2f..%2fetc"), "", "")),
        (413, "payload-too-large", announced),
        (413, "payload-too-large", chunked),
        (415, "unsupported-media-type", ask(&post, "content-type: text/xml\r\n", &valid)),
        (415, "unsupported-media-type", ask(&post, &format!("{json}content-encoding: gzip\r\n"), &valid)),
        (400, "malformed-request", ask(&format!("{list}?cursor=garbage"), "", "")),
        (400, "malformed-request", ask(&format!("{list}?limit=1000000"), "", "")),
        (400, "malformed-request", ask(&format!("{list}?search=%ff"), "", "")),
        (400, "malformed-request", ask(&format!("{list}?limit=1&limit=2"), "", "")),
        (
            400,
            "malformed-request",
            ask(&format!("PUT {STUDENTS}/1"), &format!("{json}if-match: 1\r\n"), &valid),
        ),
        (403, "origin-not-allowed", ask(&post, &format!("{json}origin: https://evil.example\r\n"), &valid)),
        (421, "host-not-allowed", format!("{list} HTTP/1.1\r\nhost: evil.example\r\n\r\n")),
        (421, "host-not-allowed", ask(&format!("GET http://evil.example{STUDENTS}"), "", "")),
        (400, "malformed-request", format!("{list} HTTP/1.1\r\n\r\n")),
        (400, "malformed-request", ask(&list, "host: localhost\r\n", "")),
        (405, "method-not-allowed", ask(&format!("BREW {STUDENTS}"), "", "")),
    ] {
        problem(&raw(address, &bytes).await, status, code);
    }

    written_and_told(&tbx, &mut stream, 3).await;
    assert_calm(&tbx);
}

#[tokio::test]
async fn bad_requests_to_the_notifier_are_answered_as_documented_and_nothing_is_lost() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    let mut stream = connected(address, CHANGES, None).await;
    written_and_told(&tbx, &mut stream, 1).await;

    let (post, get) = (format!("POST {NOTIFICATIONS}"), format!("GET {NOTIFICATIONS}"));
    let json = "content-type: application/json\r\n";
    let (long, large) = ("a".repeat(256), " ".repeat((256 << 10) + 1));
    let valid = said("a.b", "Said").to_string();
    let ask = |line: &str, headers: &str, body: &str| request(address, line, headers, body);
    let send = |body: &Value| with_json(address, &post, body);
    let announced =
        format!("{post} HTTP/1.1\r\nhost: {address}\r\n{json}content-length: 999999999999\r\n\r\n");
    let chunked = format!(
        "{post} HTTP/1.1\r\nhost: {address}\r\n{json}transfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let open = format!("{get}/ws");
    let many = (0..33).map(|n| format!("n{n}")).collect::<Vec<_>>().join(",");
    for (status, code, bytes) in [
        (400, "malformed-request", ask(&post, json, "[")),
        (422, "invalid-fields", send(&json!([1]))),
        (422, "invalid-fields", send(&json!({ "topic": 1, "event": [], "data": 1 }))),
        (422, "invalid-fields", send(&json!({}))),
        (422, "invalid-fields", send(&said("a\0b", "Said"))),
        (422, "invalid-fields", send(&said("a..b", "Said"))),
        (422, "invalid-fields", send(&said(&long, &long))),
        (422, "invalid-fields", send(&said("a.b", "Said\r\ndata: {}"))),
        (422, "invalid-fields", send(&said("a.b", "Said\ndata: {}"))),
        (422, "invalid-fields", send(&said("a.b", "Said\rdata: {}"))),
        (422, "invalid-fields", send(&said("student.created", "StudentCreated"))),
        (422, "invalid-fields", send(&said("a.b", "connected"))),
        (413, "payload-too-large", announced),
        (413, "payload-too-large", chunked),
        (415, "unsupported-media-type", ask(&post, "content-type: text/plain\r\n", &valid)),
        (415, "unsupported-media-type", ask(&post, &format!("{json}content-encoding: gzip\r\n"), &valid)),
        (400, "malformed-request", ask(&format!("{get}?topics=a..b"), "", "")),
        (400, "malformed-request", ask(&format!("{get}/stream?topics=a*"), "", "")),
        (400, "malformed-request", ask(&format!("{get}/stream?topics=a%00b"), "", "")),
        (400, "malformed-request", ask(&format!("{get}/stream?topics={many}"), "", "")),
        (400, "malformed-request", ask(&format!("{get}?limit=0"), "", "")),
        (400, "malformed-request", ask(&format!("{get}?wait=9999"), "", "")),
        (403, "origin-not-allowed", ask(&open, &format!("{upgrade}origin: https://evil.example\r\n"), "")),
        (403, "origin-not-allowed", ask(&open, &format!("{upgrade}origin: null\r\n"), "")),
        (403, "origin-not-allowed", ask(&post, &format!("{json}origin: https://evil.example\r\n"), &valid)),
        (421, "host-not-allowed", format!("{open} HTTP/1.1\r\nhost: evil.example\r\n{upgrade}\r\n")),
        (426, "upgrade-required", ask(&open, "", "")),
        (404, "not-found", ask(&format!("{get}/nothing"), "", "")),
        (405, "method-not-allowed", ask(&format!("DELETE {NOTIFICATIONS}"), "", "")),
    ] {
        problem(&raw(address, &bytes).await, status, code);
    }
    for garbage in ["garbage", "%00", "%f0%9f%a6%80", "-1", &"9".repeat(5000)] {
        let answer = raw(address, ask(&format!("{get}?after={garbage}"), "", "")).await;
        assert_eq!((answer.status, &answer.json()["gap"]["reason"]), (200, &json!("unknown")), "{garbage}");
    }

    written_and_told(&tbx, &mut stream, 2).await;
    assert_calm(&tbx);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_half_a_head_does_not_stay() {
    let tbx = Setup::new().with("TBX_HEADER_TIMEOUT", "1s").start().await;
    let (long, many) = ("a".repeat(70_000), "x: y\r\n".repeat(200));
    for service in ["api", "notifier", "worker"] {
        let address = tbx.address(service);
        // Half of a head, none at all, and half of the next one: closed without an answer.
        let mut waiting = Vec::new();
        for begun in ["", "G", "GET /health/live HTTP/1.1\r\nhost: loc"] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(begun.as_bytes()).await.unwrap();
            waiting.push(socket);
        }
        for (status, bytes) in [
            (400, "\r\n\0\r\n\r\n".to_owned()),
            (400, "GET\r\n\r\n".to_owned()),
            (400, "GET /\r\n\r\n".to_owned()),
            (400, "GET / HTTP/3.0\r\n\r\n".to_owned()),
            (400, "G E T / HTTP/1.1\r\n\r\n".to_owned()),
            (400, "GET / HTTP/1.1\r\nhost localhost\r\n\r\n".to_owned()),
            (400, "GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n".to_owned()),
            (400, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}".to_owned()),
            (414, format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n")),
            (431, format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")),
        ] {
            let answer = raw(address, &bytes).await;
            let shown: String = bytes.chars().take(40).collect();
            assert_eq!((answer.status, answer.body.len()), (status, 0), "{service}: {shown:?}");
        }
        for mut socket in waiting {
            let mut rest = Vec::new();
            // An end or a reset: whatever it is, nobody waits for the rest for ever.
            let _ = within("the socket is closed", socket.read_to_end(&mut rest)).await;
            assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
        }
        assert_eq!(Client::new(address).get("/health/ready").await.unwrap().status, 200, "{service}");
    }
    assert_calm(&tbx);
}

/// Lets a process open as many files as the system allows it.
async fn allow_open_files(process: u32, wanted: u64) {
    let status = Command::new("prlimit")
        .args(["--pid", &process.to_string(), &format!("--nofile={wanted}:")])
        .status()
        .await
        .expect("prlimit, of the package util-linux");
    assert!(status.success(), "the hard limit of open files must be {wanted} or more: see `ulimit -Hn`");
}

const HALF_OPEN: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_hold_up_nobody() {
    // They stay as long as the test does.
    let tbx = Setup::new().with("TBX_HEADER_TIMEOUT", "120s").start().await;
    for process in [std::process::id(), tbx.id()] {
        allow_open_files(process, 15_000).await;
    }
    let (api, notifier) = (tbx.address("api"), tbx.address("notifier"));
    let mut stream = connected(notifier, CHANGES, None).await;
    written_and_told(&tbx, &mut stream, 1).await;

    let mut sockets = Vec::with_capacity(HALF_OPEN);
    let mut waits = Vec::new();
    for n in 0..HALF_OPEN {
        let address = if n % 2 == 0 { api } else { notifier };
        let mut socket = within("connected", TcpStream::connect(address)).await.unwrap();
        socket.write_all(b"GET /api/students HTTP/1.1\r\nhost: loc").await.unwrap();
        sockets.push(socket);
        if n % 500 == 0 {
            waits.extend(waits_of_others([api, notifier]).await);
        }
    }
    eventually("all of them are open at the same time", || async {
        let metrics = tbx.api().get("/metrics").await.unwrap();
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let open = text.lines().find_map(|line| line.strip_prefix("process_open_fds ")).unwrap().to_owned();
        if open.parse::<f64>().unwrap() > HALF_OPEN as f64 { Ok(()) } else { Err(open) }
    })
    .await;
    for _ in 0..20 {
        waits.extend(waits_of_others([api, notifier]).await);
    }
    waits.sort_unstable();
    // One in twenty may fall together with something else this machine does.
    let nearly_all = waits[waits.len() * 95 / 100];
    assert!(nearly_all < Duration::from_secs(1), "{nearly_all:?} of {waits:?}");

    written_and_told(&tbx, &mut stream, 2).await;
    drop(sockets);
    assert_calm(&tbx);
}

/// How long others wait who come now.
async fn waits_of_others(addresses: [SocketAddr; 2]) -> Vec<Duration> {
    let mut waits = Vec::new();
    for address in addresses {
        let began = Instant::now();
        let answer = Client::new(address).get("/health/live").await.unwrap();
        assert_eq!(answer.status, 200);
        waits.push(began.elapsed());
    }
    waits
}
