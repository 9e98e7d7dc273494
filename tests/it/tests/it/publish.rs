//! Notifications from any program.

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Client, Setup};

use crate::support::{JSON, STREAM, connected, faults, next, problem, publish};

const PUBLISH: &str = "/api/notifications";

#[tokio::test]
async fn a_notification_arrives_under_its_name_with_its_data() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    let mut stream = connected(address, "/api/notifications/stream?topics=course.*", None).await;
    for (event, data) in [
        ("Opened", json!({ "course": "Logic", "seats": 20, "tags": ["a", null, 1.5] })),
        ("Name with spaces: and a colon", json!("two\r\nlines\nand \u{2028} more")),
        ("Ünïcode 🦀", Value::Null),
        ("Number", json!(0)),
    ] {
        let answer = publish(address, "course.opened", event, &data).await;
        assert_eq!(answer.status, 202);
        let body = answer.json();
        assert!(body["id"].as_str().is_some_and(|id| !id.is_empty()), "{body}");
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        let told = next(&mut stream).await;
        assert_eq!((told.event.as_str(), told.json()), (event, data));
    }
}

#[tokio::test]
async fn what_was_answered_is_in_the_history_in_the_order_of_its_topic() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    for n in 0..20 {
        assert_eq!(publish(address, "course.opened", "Opened", &json!(n)).await.status, 202);
    }
    let mut stream = connected(address, &format!("{STREAM}?from=oldest"), None).await;
    for n in 0..20 {
        assert_eq!(next(&mut stream).await.json(), json!(n));
    }
}

#[tokio::test]
async fn what_only_the_system_tells_cannot_be_published() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    for topic in ["student", "student.created", "student.anything.else", "student.$private"] {
        let answer = publish(address, topic, "Event", &json!({})).await;
        assert_eq!(faults(&answer), [("#/topic".to_owned(), "reserved".to_owned())], "{topic}");
    }
    for event in ["connected", "gap", "open", "error", "message", "reconnect"] {
        let answer = publish(address, "a.b", event, &json!({})).await;
        assert_eq!(faults(&answer), [("#/event".to_owned(), "reserved".to_owned())], "{event}");
    }
    assert_eq!(publish(address, "students.created", "Connected", &json!({})).await.status, 202);
}

#[tokio::test]
async fn a_private_topic_reaches_only_those_who_write_it_out() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    let mut everyone = connected(address, STREAM, None).await;
    let mut insider = connected(address, &format!("{STREAM}?topics=room.$7.*"), None).await;
    for (n, topic) in ["room.$7.news", "room.news", "room.$8.news", "room.$7.end"].iter().enumerate() {
        assert_eq!(publish(address, topic, "Said", &json!(n)).await.status, 202, "{topic}");
    }
    assert_eq!(next(&mut everyone).await.json(), json!(1));
    assert_eq!(next(&mut insider).await.json(), json!(0));
    assert_eq!(next(&mut insider).await.json(), json!(3));
}

#[tokio::test]
async fn every_fault_of_a_notification_is_told_at_once() {
    let tbx = Setup::new().start().await;
    let long = "a".repeat(300);
    for (body, expected) in [
        (json!({}), vec!["#/topic missing", "#/event missing", "#/data missing"]),
        (
            json!({ "topic": 1, "event": null, "data": null }),
            vec!["#/topic wrong-type", "#/event wrong-type"],
        ),
        (
            json!({ "topic": "a..b", "event": "a\nb" }),
            vec!["#/topic invalid", "#/event invalid", "#/data missing"],
        ),
        (
            json!({ "topic": "a.*", "event": "a\n\nid: 1", "data": 1 }),
            vec!["#/topic invalid", "#/event invalid"],
        ),
        (json!({ "topic": "", "event": "", "data": 1 }), vec!["#/topic invalid", "#/event invalid"]),
        (json!({ "topic": long, "event": long, "data": 1 }), vec!["#/topic invalid", "#/event invalid"]),
        (
            json!({ "topic": "student.created", "event": "gap", "data": 1 }),
            vec!["#/topic reserved", "#/event reserved"],
        ),
        (json!([]), vec!["# wrong-type"]),
    ] {
        let answer = tbx.notifier().json(Method::POST, PUBLISH, &body).await.unwrap();
        let found: Vec<String> =
            faults(&answer).into_iter().map(|(pointer, code)| format!("{pointer} {code}")).collect();
        assert_eq!(found, expected, "{body}");
    }
}

#[tokio::test]
async fn a_notification_that_cannot_be_read_is_refused() {
    let tbx = Setup::new().start().await;
    let mut notifier = tbx.notifier();
    for body in ["", "{", "\u{0}"] {
        let answer = notifier.send(Method::POST, PUBLISH, &[JSON], body.into()).await.unwrap();
        problem(&answer, 400, "malformed-request");
    }
    let answer = notifier.send(Method::POST, PUBLISH, &[], "{}".into()).await.unwrap();
    problem(&answer, 415, "unsupported-media-type");
}

#[tokio::test]
async fn notifications_of_many_programs_at_once_arrive_once_each() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("notifier");
    let mut stream = connected(address, STREAM, None).await;
    let programs: Vec<_> = (0..8)
        .map(|program| {
            tokio::spawn(async move {
                let mut client = Client::new(address);
                for n in 0..25 {
                    let body = json!({ "topic": format!("program.p{program}"), "event": "Said", "data": [program, n] });
                    let answer = client.json(Method::POST, PUBLISH, &body).await.unwrap();
                    assert_eq!(answer.status, 202, "{answer:?}");
                }
            })
        })
        .collect();
    let mut said = [0; 8];
    for _ in 0..200 {
        let data = next(&mut stream).await.json();
        let program = usize::try_from(data[0].as_u64().unwrap()).unwrap();
        assert_eq!(data[1], said[program], "in the order of its program");
        said[program] += 1;
    }
    for program in programs {
        program.await.unwrap();
    }
    assert_eq!(said, [25; 8]);
}
