//! Removing.

use super::{StudentsHarness, ada, assert_conflict, ctx, enrolled, removal, to_last_name};
use crate::student::{StudentEvent, StudentEventKind};

/// A removal takes the row away and emits the last state, which it also returns.
pub async fn a_removal_emits_the_last_state_one_version_further(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let removal = removal(&student);
    let (event_id, expected) = (removal.event_id(), removal.student().clone());
    let last = students.remove(removal, &ctx()).await.unwrap();

    assert_eq!(last, expected);
    assert_eq!(last.version, student.version.next());
    assert_eq!(students.find(student.id.into()).await.unwrap(), None);
    assert_eq!(students.find(student.number.into()).await.unwrap(), None);
    let event = StudentEvent {
        id: event_id,
        kind: StudentEventKind::Deleted,
        occurred_at: last.audit.last_modified,
        actor: last.audit.last_modified_by.clone(),
        student: last,
    };
    assert_eq!(harness.emitted().await[1..], [event]);
}

/// The email of a removed student may be taken.
pub async fn a_removal_frees_the_email(harness: &dyn StudentsHarness) {
    let student = enrolled(harness, ada()).await;
    harness.students().remove(removal(&student), &ctx()).await.unwrap();
    let again = enrolled(harness, ada()).await;
    assert_ne!(again.id, student.id);
}

/// Who decided on a state that is no longer there must decide again.
pub async fn a_removal_decided_on_a_stale_version_is_a_conflict_and_emits_nothing(
    harness: &dyn StudentsHarness,
) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let stale = removal(&student);
    let current = students.save(to_last_name(&student, "King"), &ctx()).await.unwrap();
    assert_conflict(students.remove(stale, &ctx()).await);
    assert_eq!(students.find(student.id.into()).await.unwrap(), Some(current));
    assert_eq!(harness.emitted().await.len(), 2);
}

/// A student goes once.
pub async fn a_second_removal_is_a_conflict_and_emits_nothing(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    students.remove(removal(&student), &ctx()).await.unwrap();
    assert_conflict(students.remove(removal(&student), &ctx()).await);
    assert_eq!(harness.emitted().await.len(), 2);
}

/// An event counted between decision and removal shows in the last state.
pub async fn a_removal_keeps_events_counted_meanwhile(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let removal = removal(&student);
    students.count_event(&harness.emitted().await[0], &ctx()).await.unwrap();
    let last = students.remove(removal, &ctx()).await.unwrap();
    assert_eq!(last.updates, 1);
    assert_eq!(harness.emitted().await[1].student, last);
}
