//! Saving changes.

use super::{
    StudentsHarness, ada, assert_conflict, assert_email_taken, ctx, enrolled, person, removal, to_email,
    to_last_name,
};
use crate::conformance::concurrently::concurrently;
use crate::student::{Student, StudentEvent, StudentEventKind};

/// A change stores the state it returns and emits one event with it.
pub async fn a_change_is_stored_and_emitted_with_the_same_state(harness: &dyn StudentsHarness) {
    let before = enrolled(harness, ada()).await;
    let change = to_last_name(&before, "King");
    let (event_id, after) = (change.event_id(), change.student().clone());
    let saved = harness.students().save(change, &ctx()).await.unwrap();
    assert_eq!(saved, after);
    assert_eq!(harness.students().find(before.id.into()).await.unwrap(), Some(saved));

    let event = StudentEvent {
        id: event_id,
        kind: StudentEventKind::Updated,
        occurred_at: after.audit.last_modified,
        actor: after.audit.last_modified_by.clone(),
        student: after,
    };
    assert_eq!(harness.emitted().await[1..], [event]);
}

/// Who decided on a state that is no longer there must decide again.
pub async fn a_change_decided_on_a_stale_version_is_a_conflict_and_emits_nothing(
    harness: &dyn StudentsHarness,
) {
    let students = harness.students();
    let first = enrolled(harness, ada()).await;
    let stale = to_last_name(&first, "Byron");
    let second = students.save(to_last_name(&first, "King"), &ctx()).await.unwrap();

    assert_conflict(students.save(stale, &ctx()).await);
    assert_eq!(students.find(first.id.into()).await.unwrap(), Some(second));
    assert_eq!(harness.emitted().await.len(), 2);
}

/// A student that is gone cannot be changed back into existence.
pub async fn a_change_of_a_removed_student_is_a_conflict(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    students.remove(removal(&student), &ctx()).await.unwrap();
    assert_conflict(students.save(to_last_name(&student, "King"), &ctx()).await);
    assert_eq!(students.find(student.id.into()).await.unwrap(), None);
    assert_eq!(harness.emitted().await.len(), 2);
}

/// An event counted between decision and save is neither lost nor a conflict, and the event tells of it.
pub async fn a_change_keeps_events_counted_meanwhile(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let change = to_last_name(&student, "King");
    students.count_event(&harness.emitted().await[0], &ctx()).await.unwrap();

    let saved = students.save(change, &ctx()).await.unwrap();
    assert_eq!((saved.version, saved.updates), (student.version.next(), 1));
    assert_eq!(students.find(student.id.into()).await.unwrap().as_ref(), Some(&saved));
    assert_eq!(harness.emitted().await[1].student, saved);
}

/// A taken email changes nothing of the student who wanted it.
pub async fn a_change_to_the_email_of_another_is_refused_and_leaves_everything(
    harness: &dyn StudentsHarness,
) {
    let students = harness.students();
    enrolled(harness, ada()).await;
    let grace = enrolled(harness, person("Grace", "Hopper", "grace@example.org")).await;
    assert_email_taken(students.save(to_email(&grace, "ADA@example.ORG"), &ctx()).await);
    assert_eq!(students.find(grace.id.into()).await.unwrap(), Some(grace));
    assert_eq!(harness.emitted().await.len(), 2);
}

/// A student does not stand in its own way.
pub async fn a_change_may_alter_the_case_of_the_own_email(harness: &dyn StudentsHarness) {
    let student = enrolled(harness, ada()).await;
    let saved = harness.students().save(to_email(&student, "ADA@example.ORG"), &ctx()).await.unwrap();
    assert_eq!(saved.email.as_str(), "ADA@example.ORG");
}

/// Who takes another email leaves the old one to others.
pub async fn a_changed_email_is_free_again(harness: &dyn StudentsHarness) {
    let student = enrolled(harness, ada()).await;
    harness.students().save(to_email(&student, "countess@example.org"), &ctx()).await.unwrap();
    enrolled(harness, ada()).await;
}

/// Of eight who decided on the same version one gets through, and one event is emitted.
pub async fn of_concurrent_changes_of_one_version_exactly_one_wins(harness: &dyn StudentsHarness) {
    let students = harness.students();
    let student = enrolled(harness, ada()).await;
    let ctx = ctx();
    let attempts =
        (0..8).map(|i| students.save(to_last_name(&student, &format!("King {i}")), &ctx)).collect();
    let (won, lost): (Vec<_>, Vec<_>) = concurrently(attempts).await.into_iter().partition(Result::is_ok);

    let won: Vec<Student> = won.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    lost.into_iter().for_each(assert_conflict);
    assert_eq!(students.find(student.id.into()).await.unwrap().as_ref(), won.first());
    assert_eq!(harness.emitted().await.len(), 2);
}
