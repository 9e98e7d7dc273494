//! The routes of students, when all is well.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tbx_it::Setup;

use crate::support::{
    CHANGES, JSON, STREAM, STUDENTS, ada, at_rest, connected, created, delete, get, id, next, nth, post,
    publish, put,
};

const FIELDS: [&str; 11] = [
    "id",
    "number",
    "firstName",
    "lastName",
    "email",
    "version",
    "updates",
    "created",
    "createdBy",
    "lastModified",
    "lastModifiedBy",
];

#[tokio::test]
async fn a_create_and_a_replace_reach_the_stream_within_a_second() {
    let tbx = Setup::new().start().await;
    let mut stream = connected(tbx.address("notifier"), STREAM, None).await;
    let mut api = tbx.api();
    let mut next_named = async |name: &str| loop {
        let event = next(&mut stream).await;
        if event.event == name {
            return event.json();
        }
    };

    // The fastest of three: a machine that does something else for a moment says nothing about the road.
    let (mut creates, mut replaces) = (Vec::new(), Vec::new());
    for n in 1..=3 {
        let began = Instant::now();
        let student = created(&mut api, &nth(n)).await;
        let told = next_named("StudentCreated").await;
        creates.push(began.elapsed());
        assert_eq!(told["student"], student);

        let began = Instant::now();
        let body = json!({ "firstName": "Ada", "lastName": "King", "email": format!("ada{n}@example.org") });
        let replaced = put(&mut api, &n.to_string(), &body).await;
        assert_eq!(replaced.status, 200);
        let told = next_named("StudentUpdated").await;
        replaces.push(began.elapsed());
        assert_eq!(told["student"]["lastName"], "King");
        assert_eq!(told["student"]["version"], 2);
    }
    for took in [creates, replaces] {
        assert!(took.iter().min().is_some_and(|least| *least < Duration::from_secs(1)), "{took:?}");
    }
}

#[tokio::test]
async fn a_student_has_exactly_the_fields_of_the_contract() {
    let tbx = Setup::new().start().await;
    let answer = post(&mut tbx.api(), &ada()).await;
    let student = answer.json();
    let fields: BTreeSet<&str> = student.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(FIELDS));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("location"), format!("{STUDENTS}/{}", id(&student)));
    assert_eq!(answer.header("etag"), "\"1.0\"");
    assert_eq!(
        (&student["number"], &student["version"], &student["updates"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!((&student["createdBy"], &student["lastModifiedBy"]), (&Value::Null, &Value::Null));
    assert_eq!(student["created"], student["lastModified"]);
    assert!(is_time(&student["created"]), "{student}");
}

#[tokio::test]
async fn a_notification_has_exactly_the_fields_of_the_contract() {
    let tbx = Setup::new().start().await;
    let mut stream = connected(tbx.address("notifier"), CHANGES, None).await;
    let student = created(&mut tbx.api(), &ada()).await;
    let event = next(&mut stream).await;
    let body = event.json();
    let fields: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = BTreeSet::from(["id", "eventType", "routingKey", "student", "timestamp", "userId"]);
    assert_eq!(fields.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!((event.event.as_str(), &body["eventType"]), ("StudentCreated", &json!("StudentCreated")));
    assert_eq!(body["routingKey"], "student.created");
    assert_eq!(body["student"], student);
    assert_eq!(body["userId"], Value::Null);
    assert!(is_time(&body["timestamp"]), "{body}");
}

#[tokio::test]
async fn updates_reaches_version_at_rest_and_changes_nothing_else() {
    let tbx = Setup::new().start().await;
    let student = created(&mut tbx.api(), &ada()).await;
    let rested = at_rest(tbx.address("api"), "1").await;
    let mut expected = student;
    expected["updates"] = json!(1);
    assert_eq!(rested.json(), expected);
    assert_eq!(rested.header("etag"), "\"1.1\"");
}

#[tokio::test]
async fn number_and_uuid_with_or_without_a_version_name_the_same_student() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let id = id(&created(&mut api, &ada()).await);
    let rested = at_rest(tbx.address("api"), "1").await.json();
    for path in [
        "/api/students/1",
        &format!("/api/students/{id}"),
        "/api/v1/students/1",
        &format!("/api/v1/students/{id}"),
    ] {
        let answer = api.get(path).await.unwrap();
        assert_eq!((answer.status, answer.json()), (200, rested.clone()), "{path}");
    }
    let answer = api.json(Method::POST, "/api/v1/students", &nth(2)).await.unwrap();
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/api/v1/students/"), "{location}");
    let found = api.get(&location).await.unwrap().json();
    assert_eq!(found["id"], answer.json()["id"]);
}

#[tokio::test]
async fn a_replace_that_changes_nothing_keeps_the_version_and_tells_nobody() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let mut stream = connected(tbx.address("notifier"), STREAM, None).await;
    created(&mut api, &ada()).await;
    let mut told = [next(&mut stream).await.event, next(&mut stream).await.event];
    told.sort();
    assert_eq!(told, ["StudentCached", "StudentCreated"]);
    let before = at_rest(tbx.address("api"), "1").await;
    let answer = put(&mut api, "1", &ada()).await;
    assert_eq!((answer.status, answer.json()), (200, before.json()));
    assert_eq!(answer.header("etag"), before.header("etag"));
    // What is told after it is the first that is told at all.
    let changed = created(&mut api, &nth(2)).await;
    at_rest(tbx.address("api"), "2").await;
    assert_eq!(publish(tbx.address("notifier"), "test.end", "End", &Value::Null).await.status, 202);
    loop {
        let event = next(&mut stream).await;
        if event.event == "End" {
            break;
        }
        assert_eq!(event.json()["student"]["id"], changed["id"], "{event:?}");
    }
}

#[tokio::test]
async fn a_patch_changes_the_fields_given_and_ignores_unknown_ones() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    let patch = json!({ "lastName": "King", "version": 99, "nickname": null });
    let answer = api.json(Method::PATCH, "/api/students/1", &patch).await.unwrap();
    let student = answer.json();
    assert_eq!(answer.status, 200, "{student}");
    assert_eq!(answer.header("etag").split('.').next(), Some("\"2"));
    let values = ["firstName", "lastName", "email", "version"].map(|field| student[field].clone());
    assert_eq!(values, [json!("Ada"), json!("King"), json!("ada@example.org"), json!(2)]);
    assert_eq!(get(&mut api, "1").await.json()["lastName"], "King", "it reads its own writes");

    let merge = [("content-type", "application/merge-patch+json")];
    let answer =
        api.send(Method::PATCH, "/api/students/1", &merge, r#"{"firstName":"A."}"#.into()).await.unwrap();
    assert_eq!((answer.status, &answer.json()["firstName"]), (200, &json!("A.")));
    let answer = api.send(Method::PATCH, "/api/students/1", &[JSON], "{}".into()).await.unwrap();
    assert_eq!(
        (answer.status, &answer.json()["version"]),
        (200, &json!(3)),
        "an empty patch changes nothing"
    );
}

#[tokio::test]
async fn a_deleted_student_is_gone_its_email_is_free_and_its_number_is_not() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let student = created(&mut api, &ada()).await;
    let mut stream =
        connected(tbx.address("notifier"), "/api/notifications/stream?topics=student.deleted", None).await;
    let answer = delete(&mut api, "1").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(delete(&mut api, "1").await.status, 404);
    assert_eq!(get(&mut api, "1").await.status, 404);
    assert_eq!(get(&mut api, &id(&student)).await.status, 404);
    assert_eq!(put(&mut api, "1", &ada()).await.status, 404);

    let event = next(&mut stream).await;
    assert_eq!(event.event, "StudentDeleted");
    let last = &event.json()["student"];
    assert_eq!((&last["id"], &last["version"]), (&student["id"], &json!(2)));
    assert_eq!((&last["firstName"], &last["email"]), (&student["firstName"], &student["email"]));

    let again = created(&mut api, &ada()).await;
    assert_eq!(again["number"], 2);
    assert_ne!(again["id"], student["id"]);
}

#[tokio::test]
async fn students_outlive_the_process() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    created(&mut tbx.api(), &ada()).await;
    let rested = at_rest(tbx.address("api"), "1").await.json();
    delete(&mut tbx.api(), &id(&created(&mut tbx.api(), &nth(2)).await)).await;
    tbx.terminate().await;
    let (status, log) = tbx.ended().await;
    assert!(status.success(), "{log}");

    let tbx = setup.start().await;
    assert_eq!(get(&mut tbx.api(), "1").await.json(), rested);
    assert_eq!(
        created(&mut tbx.api(), &nth(3)).await["number"],
        3,
        "the number of the last one is not reused"
    );
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
fn is_time(value: &Value) -> bool {
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    value.as_str().is_some_and(|text| text.bytes().map(shape).eq(*b"0000-00-00T00:00:00.000Z"))
}
