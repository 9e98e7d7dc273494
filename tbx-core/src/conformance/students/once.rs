//! Enrolling under a key.

use super::{StudentsHarness, ada, assert_email_taken, ctx, decided, enrolled, enrolment, person, removal};
use crate::command::StudentInput;
use crate::conformance::concurrently::concurrently;
use crate::context::{Actor, Context};
use crate::query::ListStudents;
use crate::request_key::RequestKey;
use crate::store::{Enrolled, StoreError};

fn key(text: &str) -> RequestKey {
    RequestKey::new(text).unwrap()
}

async fn once(
    harness: &dyn StudentsHarness,
    text: &str,
    person: crate::command::CreateStudent,
) -> Result<Enrolled, StoreError> {
    harness.students().enrol_once(enrolment(person, &ctx()), &key(text), &ctx()).await
}

async fn count(harness: &dyn StudentsHarness) -> usize {
    harness.students().list(&ListStudents::default()).await.unwrap().items.len()
}

/// A client that does not know what became of its request sends it again, and nothing happens twice.
pub async fn an_enrolment_repeated_under_its_key_happens_once(harness: &dyn StudentsHarness) {
    let first = once(harness, "a key", ada()).await.unwrap();
    assert!(first.first_time);
    assert_eq!(harness.students().find(first.student.id.into()).await.unwrap(), Some(first.student.clone()));
    for _ in 0..2 {
        let again = once(harness, "a key", ada()).await.unwrap();
        assert_eq!(again, Enrolled { first_time: false, student: first.student.clone() });
    }
    assert_eq!(count(harness).await, 1);
    assert_eq!(harness.emitted().await.len(), 1);
}

/// Whatever became of it since: the answer is the one that was lost.
pub async fn a_repeated_enrolment_tells_of_the_student_as_it_was_enrolled(harness: &dyn StudentsHarness) {
    let first = once(harness, "k", ada()).await.unwrap().student;
    let wish = StudentInput { last_name: Some("King"), ..StudentInput::default() }.change().unwrap();
    let changed = harness.students().save(decided(&first, wish), &ctx()).await.unwrap();
    assert_eq!(once(harness, "k", ada()).await.unwrap().student, first);
    harness.students().remove(removal(&changed), &ctx()).await.unwrap();
    assert_eq!(once(harness, "k", ada()).await.unwrap().student, first);
    assert_eq!(count(harness).await, 0);
}

/// A key names one wish; another under it is a mistake of the client, and must not look like success.
pub async fn a_key_of_another_enrolment_is_refused_and_leaves_nothing(harness: &dyn StudentsHarness) {
    once(harness, "k", ada()).await.unwrap();
    for other in [
        person("Grace", "Hopper", "grace@example.org"),
        person("Ada", "Lovelace", "ada2@example.org"),
        person("Ada", "LOVELACE", "Ada@Example.org"),
        person("Ada", "Lovelace", "ada@example.org"),
    ] {
        let refused = once(harness, "k", other).await;
        assert!(matches!(refused, Err(StoreError::KeyReused)), "{refused:?}");
    }
    assert_eq!((count(harness).await, harness.emitted().await.len()), (1, 1));
    assert!(once(harness, "K", person("Grace", "Hopper", "grace@example.org")).await.unwrap().first_time);
}

/// What was refused did not happen, so it may be tried again when the reason is gone.
pub async fn an_enrolment_that_was_refused_leaves_its_key_free(harness: &dyn StudentsHarness) {
    let in_the_way = enrolled(harness, ada()).await;
    assert_email_taken(once(harness, "k", ada()).await);
    harness.students().remove(removal(&in_the_way), &ctx()).await.unwrap();
    assert!(once(harness, "k", ada()).await.unwrap().first_time);
}

/// Whoever guesses a key learns nothing, and is not in the way.
pub async fn the_keys_of_two_actors_are_apart(harness: &dyn StudentsHarness) {
    let alice = once(harness, "k", ada()).await.unwrap();
    let (bob, mut nobody) = (ctx().with_actor(Actor::new("bob").unwrap()), ctx());
    nobody.actor = None;
    let grace = || person("Grace", "Hopper", "grace@example.org");
    let joan = || person("Joan", "Clarke", "joan@example.org");
    let under_k = async |person, ctx: &Context| {
        harness.students().enrol_once(enrolment(person, ctx), &key("k"), ctx).await.unwrap()
    };
    assert!(under_k(grace(), &bob).await.first_time);
    assert!(under_k(joan(), &nobody).await.first_time);
    assert!(!under_k(grace(), &bob).await.first_time);
    assert!(!under_k(joan(), &nobody).await.first_time);
    assert_eq!(once(harness, "k", ada()).await.unwrap().student, alice.student);
}

/// Two tries that overlap are one request too.
pub async fn of_concurrent_enrolments_under_one_key_one_happens_and_all_are_told_of_it(
    harness: &dyn StudentsHarness,
) {
    let (students, ctx, key) = (harness.students(), ctx(), key("k"));
    let attempts = (0..8).map(|_| students.enrol_once(enrolment(ada(), &ctx), &key, &ctx)).collect();
    let mut first = Vec::new();
    let mut repeated = Vec::new();
    for outcome in concurrently(attempts).await {
        match outcome {
            Ok(Enrolled { first_time: true, student }) => first.push(student),
            Ok(Enrolled { first_time: false, student }) => repeated.push(student),
            // Whoever waited too long is told so, and may ask again.
            Err(StoreError::KeyInUse) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let [first] = &first[..] else { panic!("{first:?}") };
    assert!(repeated.iter().all(|student| student == first), "{repeated:?}");
    assert_eq!(harness.emitted().await.len(), 1);
    let again = students.enrol_once(enrolment(ada(), &ctx), &key, &ctx).await.unwrap();
    assert_eq!(again, Enrolled { first_time: false, student: first.clone() });
}
