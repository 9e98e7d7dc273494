//! Enrolling and finding.

use super::{StudentsHarness, ada, assert_email_taken, ctx, enrolled, enrolment, person, removal};
use crate::conformance::concurrently::concurrently;
use crate::query::ListStudents;
use crate::student::{EventId, StudentEvent, StudentEventKind, StudentId, StudentNumber, Version, enrol};

/// The first student gets the number 1, later ones larger numbers.
pub async fn the_first_number_is_1_and_numbers_increase(harness: &dyn StudentsHarness) {
    let mut last = enrolled(harness, ada()).await.number;
    assert_eq!(last.get(), 1);
    for i in 0..5 {
        let number = enrolled(harness, person("A", "B", &format!("s{i}@example.org"))).await.number;
        assert!(number > last, "{number} came after {last}");
        last = number;
    }
}

/// The number of the student enrolled last is not given again when that student is removed.
pub async fn a_number_is_not_given_again_after_a_removal(harness: &dyn StudentsHarness) {
    let first = enrolled(harness, ada()).await;
    harness.students().remove(removal(&first), &ctx()).await.unwrap();
    let second = enrolled(harness, ada()).await;
    assert!(second.number > first.number, "{} came after {}", second.number, first.number);
}

/// An enrolment emits one event, with the state it returns.
pub async fn an_enrolment_emits_its_event_with_the_same_state(harness: &dyn StudentsHarness) {
    let ctx = ctx();
    let event_id = EventId::generate(ctx.now);
    let enrolment = enrol(ada(), StudentId::generate(ctx.now), event_id, &ctx);
    let student = harness.students().enrol(enrolment, &ctx).await.unwrap();
    assert_eq!((student.version, student.updates), (Version::FIRST, 0));

    let event = StudentEvent {
        id: event_id,
        kind: StudentEventKind::Created,
        student,
        occurred_at: ctx.now,
        actor: ctx.actor,
    };
    assert_eq!(harness.emitted().await, [event]);
    assert!(harness.notified().await.is_empty(), "only counting an event notifies");
}

/// No two students have emails that differ only in ASCII case.
pub async fn an_email_is_refused_to_a_second_student_whatever_its_case(harness: &dyn StudentsHarness) {
    enrolled(harness, ada()).await;
    for email in ["Ada@Example.org", "ada@example.org", "ADA@EXAMPLE.ORG", " ada@EXAMPLE.org "] {
        let second = enrolment(person("Other", "Person", email), &ctx());
        assert_email_taken(harness.students().enrol(second, &ctx()).await);
    }
}

/// An enrolment that is refused leaves neither row nor event, and its successor is as good as any.
pub async fn a_refused_enrolment_leaves_nothing(harness: &dyn StudentsHarness) {
    let first = enrolled(harness, ada()).await;
    let refused = enrolment(ada(), &ctx());
    let id = refused.id();
    assert_email_taken(harness.students().enrol(refused, &ctx()).await);

    assert_eq!(harness.students().find(id.into()).await.unwrap(), None);
    assert_eq!(harness.emitted().await.len(), 1);
    let all = harness.students().list(&ListStudents::default()).await.unwrap();
    assert_eq!(all.items, [first]);

    let next = enrolled(harness, person("Next", "One", "next@example.org")).await;
    assert_eq!(harness.students().find(next.id.into()).await.unwrap(), Some(next));
}

/// Id and number lead to the same student, and nobody's lead to nobody.
pub async fn a_student_is_found_by_id_and_by_number(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    enrolled(harness, person("Grace", "Hopper", "grace@example.org")).await;

    assert_eq!(students.find(student.id.into()).await.unwrap(), Some(student.clone()));
    assert_eq!(students.find(student.number.into()).await.unwrap(), Some(student));
    assert_eq!(students.find(StudentId::generate(ctx().now).into()).await.unwrap(), None);
    let largest = StudentNumber::new(StudentNumber::MAX).unwrap();
    assert_eq!(students.find(largest.into()).await.unwrap(), None);
}

/// Every character and every millisecond survives.
pub async fn a_student_is_read_back_exactly_as_it_was_written(harness: &dyn StudentsHarness) {
    let longest = "𐐀".repeat(100);
    let email = format!("{}'{{|}}%_@{}.org", "a".repeat(50), "b".repeat(63));
    for (i, (first_name, last_name)) in
        [("O'Neil; --", "\"%_\\"), ("Zoë 名前 🎓", "İSSß"), (&*longest, "e\u{301}")].into_iter().enumerate()
    {
        let student = enrolled(harness, person(first_name, last_name, &format!("{i}{email}"))).await;
        assert_eq!(student.first_name.as_str(), first_name);
        assert_eq!(student.last_name.as_str(), last_name);
        assert_eq!(harness.students().find(student.id.into()).await.unwrap().as_ref(), Some(&student));
        assert_eq!(harness.emitted().await[i].student, student);
    }

    let mut nobody = ctx();
    nobody.actor = None;
    let anonymous = enrolment(person("No", "Body", "nobody@example.org"), &nobody);
    let anonymous = harness.students().enrol(anonymous, &nobody).await.unwrap();
    assert_eq!(harness.students().find(anonymous.id.into()).await.unwrap(), Some(anonymous));
}

/// The uniqueness of emails is kept by the store, not by a look before the write.
pub async fn of_concurrent_enrolments_with_one_email_exactly_one_wins(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let ctx = ctx();
    let attempts = (0..8).map(|_| students.enrol(enrolment(ada(), &ctx), &ctx)).collect();
    let (won, lost): (Vec<_>, Vec<_>) = concurrently(attempts).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    lost.into_iter().for_each(assert_email_taken);
    assert_eq!(harness.emitted().await.len(), 1);
}
