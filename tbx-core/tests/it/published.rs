//! The published language, byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use chrono::{DateTime, Utc};
use tbx_core::published::{
    MalformedMessage, StudentBody, StudentMessage, cached_id, field_name, notification_id, topic_of,
};
use tbx_core::{
    Actor, Audit, Email, EventId, PersonName, Student, StudentEvent, StudentEventKind, StudentField,
    StudentId, StudentNumber, Version,
};

const STUDENT: &str = r#"{"id":"0190b5a4-7c1e-7a3b-8f00-0123456789ab","number":7,"firstName":"Zoë","lastName":"O'Neil","email":"Zoe@Example.org","version":2,"updates":1,"created":"2026-01-31T12:00:00.000Z","createdBy":null,"lastModified":"2026-01-31T12:34:56.780Z","lastModifiedBy":"alice"}"#;

#[test]
fn a_student_is_written_as_agreed() {
    let json = serde_json::to_string(&StudentBody::from(&student())).unwrap();
    assert_eq!(json, STUDENT);
}

#[test]
fn a_student_reads_back() {
    let body: StudentBody = serde_json::from_str(STUDENT).unwrap();
    assert_eq!(Student::try_from(body).unwrap(), student());
}

#[test]
fn messages_are_written_as_agreed() {
    let event = event();
    let later = time("2026-01-31T12:35:00Z");
    for (message, id, event_type, topic, timestamp) in [
        (
            StudentMessage::event(&event),
            "0190b5a4-7c1f-7000-8000-000000000001",
            "StudentUpdated",
            "student.updated",
            "2026-01-31T12:34:56.780Z",
        ),
        (
            StudentMessage::notification(&event),
            NOTIFICATION_ID,
            "StudentUpdated",
            "student.updated",
            "2026-01-31T12:34:56.780Z",
        ),
        (
            StudentMessage::cached(&event, &event.student, later),
            CACHED_ID,
            "StudentCached",
            "student.cached",
            "2026-01-31T12:35:00.000Z",
        ),
    ] {
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            format!(
                r#"{{"id":"{id}","eventType":"{event_type}","routingKey":"{topic}","student":{STUDENT},"timestamp":"{timestamp}","userId":"alice"}}"#
            )
        );
    }
}

#[test]
fn a_message_of_nobody_has_a_null_user() {
    let message = StudentMessage::event(&StudentEvent { actor: None, ..event() });
    assert!(serde_json::to_string(&message).unwrap().ends_with(r#","userId":null}"#));
}

#[test]
fn an_event_reads_back_past_unknown_fields_and_finer_times() {
    let json = serde_json::to_string(&StudentMessage::event(&event())).unwrap();
    let json = json.replace("56.780Z", "56.780999Z").replacen('{', r#"{"new":1,"#, 1);
    let message: StudentMessage = serde_json::from_str(&json).unwrap();
    assert_eq!(StudentEvent::try_from(message).unwrap(), event());
}

#[test]
fn what_makes_no_sense_is_named() {
    let json = STUDENT.replace("Zoe@Example.org", "nobody");
    let body: StudentBody = serde_json::from_str(&json).unwrap();
    let error: MalformedMessage = Student::try_from(body).unwrap_err();
    assert_eq!(error.field(), "email");
    assert_eq!(error.to_string(), "field email of a message makes no sense");

    for wrong in
        [STUDENT.replace("0190b5a4", "xyz"), STUDENT.replace("12:00:00.000Z", "noon"), "{}".to_owned()]
    {
        assert!(serde_json::from_str::<StudentBody>(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn names_are_as_agreed() {
    let topics = StudentEventKind::ALL.map(topic_of);
    assert_eq!(topics, ["student.created", "student.updated", "student.deleted"]);
    let fields = [StudentField::FirstName, StudentField::LastName, StudentField::Email].map(field_name);
    assert_eq!(fields, ["firstName", "lastName", "email"]);
    assert_eq!(notification_id(event().id).to_string(), NOTIFICATION_ID);
    assert_eq!(cached_id(event().id).to_string(), CACHED_ID);
}

const NOTIFICATION_ID: &str = "76b742d1-28e4-550b-a99e-1123c0d27e75";
const CACHED_ID: &str = "87dad1af-baa1-54cf-891c-0a2ae093ebaf";

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn student() -> Student {
    Student {
        id: StudentId::new("0190b5a4-7c1e-7a3b-8f00-0123456789ab".parse().unwrap()),
        number: StudentNumber::new(7).unwrap(),
        first_name: PersonName::parse("Zoë").unwrap(),
        last_name: PersonName::parse("O'Neil").unwrap(),
        email: Email::parse("Zoe@Example.org").unwrap(),
        version: Version::new(2).unwrap(),
        updates: 1,
        audit: Audit {
            created: time("2026-01-31T12:00:00Z"),
            created_by: None,
            last_modified: time("2026-01-31T12:34:56.78Z"),
            last_modified_by: Actor::new("alice").ok(),
        },
    }
}

fn event() -> StudentEvent {
    StudentEvent {
        id: EventId::new("0190b5a4-7c1f-7000-8000-000000000001".parse().unwrap()),
        kind: StudentEventKind::Updated,
        student: student(),
        occurred_at: time("2026-01-31T12:34:56.78Z"),
        actor: Actor::new("alice").ok(),
    }
}
