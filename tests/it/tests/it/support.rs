//! What the tests of all subjects need: students to send, problems to check, raw requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Output;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tbx_it::{Answer, Client, Event, EventStream, Setup, eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const STUDENTS: &str = "/api/students";
pub(crate) const STREAM: &str = "/api/notifications/stream";
/// What the students' own events are told under, without the notifications about the cache.
pub(crate) const CHANGES: &str =
    "/api/notifications/stream?topics=student.created,student.updated,student.deleted";
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// The body of the student number `n` of a test.
pub(crate) fn nth(n: usize) -> Value {
    json!({ "firstName": format!("First{n}"), "lastName": format!("Last{n}"), "email": format!("nth{n}@example.org") })
}

pub(crate) fn ada() -> Value {
    json!({ "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.org" })
}

pub(crate) async fn post(api: &mut Client, body: &Value) -> Answer {
    api.json(Method::POST, STUDENTS, body).await.unwrap()
}

pub(crate) async fn put(api: &mut Client, id: &str, body: &Value) -> Answer {
    api.json(Method::PUT, &format!("{STUDENTS}/{id}"), body).await.unwrap()
}

pub(crate) async fn get(api: &mut Client, id: &str) -> Answer {
    api.get(&format!("{STUDENTS}/{id}")).await.unwrap()
}

pub(crate) async fn delete(api: &mut Client, id: &str) -> Answer {
    api.send(Method::DELETE, &format!("{STUDENTS}/{id}"), &[], "".into()).await.unwrap()
}

/// Creates a student that nothing is wrong with.
pub(crate) async fn created(api: &mut Client, body: &Value) -> Value {
    let answer = post(api, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// The student once the worker has finished all of its events.
pub(crate) async fn at_rest(address: SocketAddr, id: &str) -> Answer {
    eventually("updates reaches version", || async {
        let answer = get(&mut Client::new(address), id).await;
        let student = answer.json();
        let rests = student["version"].is_u64() && student["version"] == student["updates"];
        if rests { Ok(answer) } else { Err(student.to_string()) }
    })
    .await
}

/// The end of a host that must not start: its exit code and what it says.
pub(crate) async fn refused(setup: &Setup, host: &'static str) -> (Option<i32>, String) {
    let mut command = setup.command(&[host]);
    let Output { status, stderr, .. } = within("the host gives up", command.output()).await.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    (status.code(), said.lines().last().unwrap_or_default().to_owned())
}

/// The exit code of `doctor`, and the line of each check by its name.
pub(crate) async fn examined(setup: &Setup, arguments: &[&str]) -> (Option<i32>, BTreeMap<String, String>) {
    let mut command = setup.command(&[&["doctor"], arguments].concat());
    let output = within("the command ends", command.output()).await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut lines = BTreeMap::new();
    for line in stdout.lines() {
        let (level, name) = (&line[..4], line[6..19].trim());
        assert!(["ok  ", "warn", "fail"].contains(&level), "{line}");
        assert!(lines.insert(name.to_owned(), line.to_owned()).is_none(), "{name} twice:\n{stdout}");
    }
    let has_failed = |name: &String| lines[name].starts_with("fail");
    let code = match lines.keys().any(has_failed) {
        true if has_failed(&"configuration".to_owned()) => 2,
        failed => i32::from(failed),
    };
    assert_eq!(output.status.code(), Some(code), "{stdout}");
    (output.status.code(), lines)
}

/// The id of a student as text.
pub(crate) fn id(student: &Value) -> String {
    student["id"].as_str().unwrap().to_owned()
}

/// Checks that an answer is a problem of the contract, and gives its document.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let document = answer.json();
    assert_eq!(answer.status, status, "{document} {:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{document}");
    assert_eq!(document["status"], status, "{document}");
    assert_eq!(document["code"], code, "{document}");
    assert_eq!(document["type"], format!("/problems/{code}"), "{document}");
    for text in ["title", "detail"] {
        assert!(document[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {document}");
    }
    let trace = document["traceId"].as_str().unwrap_or_default();
    let hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    assert!(trace.len() == 32 && trace.bytes().all(hex), "{document}");
    document
}

/// The pointers and codes of a 422, in their order.
#[track_caller]
pub(crate) fn faults(answer: &Answer) -> Vec<(String, String)> {
    let document = problem(answer, 422, "invalid-fields");
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    let errors = document["errors"].as_array().unwrap();
    assert!(errors.iter().all(|fault| !text(fault, "detail").is_empty()), "{document}");
    errors.iter().map(|fault| (text(fault, "pointer"), text(fault, "code"))).collect()
}

/// The next event of a stream.
pub(crate) async fn next(stream: &mut EventStream) -> Event {
    within("the next event", stream.next()).await.expect("the stream goes on")
}

/// A stream whose greeting has been read.
pub(crate) async fn connected(notifier: SocketAddr, path: &str, after: Option<&str>) -> EventStream {
    let mut stream = EventStream::connect(notifier, path, after).await.unwrap();
    assert_eq!(stream.status, 200);
    let greeting = next(&mut stream).await;
    assert_eq!(greeting.event, "connected");
    assert_eq!(greeting.json()["position"], greeting.id.as_str());
    stream
}

/// Publishes a notification of any topic.
pub(crate) async fn publish(notifier: SocketAddr, topic: &str, event: &str, data: &Value) -> Answer {
    let body = json!({ "topic": topic, "event": event, "data": data });
    Client::new(notifier).json(Method::POST, "/api/notifications", &body).await.unwrap()
}

/// Sends bytes as they are and reads the answer to the end of the connection.
pub(crate) async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // A server that refuses early may close before it has read everything.
    let _ = socket.write_all(request.as_ref()).await;
    read_answer(&mut socket).await
}

/// Reads one answer with a `Content-Length`.
pub(crate) async fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    within("an answer", async {
        loop {
            if let Some(answer) = parse(&bytes) {
                return answer;
            }
            let read = socket.read_buf(&mut bytes).await.unwrap();
            assert!(read > 0, "closed before the answer was whole: {}", String::from_utf8_lossy(&bytes));
        }
    })
    .await
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    let length: usize = headers.get("content-length")?.to_str().ok()?.parse().ok()?;
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec().into();
    Some(Answer { status, headers, body })
}
