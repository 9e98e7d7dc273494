//! Counting events.

use super::{StudentsHarness, ada, ctx, enrolled, removal, to_last_name};
use crate::conformance::concurrently::concurrently;
use crate::store::{Counted, StoreError};
use crate::student::{Student, StudentEvent};

/// Each event adds one to `updates` and puts its notification on its way, in order.
pub async fn an_event_is_counted_and_notified(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let student = students.save(to_last_name(&student, "King"), &ctx()).await.unwrap();
    let events = harness.emitted().await;

    for (event, updates) in events.iter().zip(1..) {
        let row = Student { updates, ..student.clone() };
        let counted = students.count_event(event, &ctx()).await.unwrap();
        assert_eq!(counted, Counted { first_time: true, student: Some(row.clone()) });
        assert_eq!(students.find(student.id.into()).await.unwrap(), Some(row));
    }
    assert_eq!(harness.notified().await, [events[0].id, events[1].id]);
    assert_eq!(harness.emitted().await, events, "counting emits no event");
}

/// A redelivery changes nothing, and tells the row as it is.
pub async fn an_event_counted_twice_counts_once_and_notifies_once(harness: &dyn StudentsHarness) {
    let students = harness.students();
    enrolled(harness, ada()).await;
    let event = harness.emitted().await.remove(0);
    let first = students.count_event(&event, &ctx()).await.unwrap();
    let second = students.count_event(&event, &ctx()).await.unwrap();
    assert_eq!(second, Counted { first_time: false, ..first });
    assert_eq!(harness.notified().await, [event.id]);

    let row = second.student.unwrap();
    students.remove(removal(&row), &ctx()).await.unwrap();
    let third = students.count_event(&event, &ctx()).await.unwrap();
    assert_eq!(third, Counted { first_time: false, student: None });
    assert_eq!(harness.notified().await, [event.id]);
}

/// A version counts what people did, and a count is not theirs.
pub async fn counting_changes_neither_version_nor_audit(harness: &dyn StudentsHarness) {
    let student = enrolled(harness, ada()).await;
    let event = harness.emitted().await.remove(0);
    harness.students().count_event(&event, &super::ctx_at(5000)).await.unwrap();
    let row = harness.students().find(student.id.into()).await.unwrap();
    assert_eq!(row, Some(Student { updates: 1, ..student.clone() }));

    // A decision made before the count still holds.
    harness.students().save(to_last_name(&student, "King"), &ctx()).await.unwrap();
}

/// Those who listen hear of a student that is gone already: of its life and of its end.
pub async fn an_event_of_a_removed_student_is_notified(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    students.remove(removal(&student), &ctx()).await.unwrap();
    let events = harness.emitted().await;
    for event in &events {
        let counted = students.count_event(event, &ctx()).await.unwrap();
        assert_eq!(counted, Counted { first_time: true, student: None });
    }
    assert_eq!(harness.notified().await, [events[0].id, events[1].id]);
}

/// A refused event leaves neither a count, nor a notification, nor a mark that it was seen.
pub async fn an_event_ahead_of_its_row_is_refused_and_may_come_again(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let change = to_last_name(&student, "King");
    let event = StudentEvent {
        id: change.event_id(),
        student: change.student().clone(),
        ..harness.emitted().await.remove(0)
    };
    let error = students.count_event(&event, &ctx()).await.unwrap_err();
    assert!(matches!(error, StoreError::RowBehindEvent { .. }), "{error:?}");
    assert_eq!(students.find(student.id.into()).await.unwrap(), Some(student));
    assert!(harness.notified().await.is_empty());

    students.save(change, &ctx()).await.unwrap();
    assert!(students.count_event(&event, &ctx()).await.unwrap().first_time);
    assert_eq!(harness.notified().await, [event.id]);
}

/// Several deliveries at once are one.
pub async fn an_event_counted_concurrently_counts_once(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let event = harness.emitted().await.remove(0);
    let ctx = ctx();
    let attempts = (0..8).map(|_| students.count_event(&event, &ctx)).collect();
    let counted = concurrently(attempts).await;
    assert_eq!(counted.into_iter().filter(|counted| counted.as_ref().unwrap().first_time).count(), 1);
    let row = students.find(student.id.into()).await.unwrap().unwrap();
    assert_eq!(row.updates, 1);
    assert_eq!(harness.notified().await, [event.id]);
}
