//! The suite for [`Students`].
//!
//! A backend implements [`StudentsHarness`] and calls [`students_conformance!`](crate::students_conformance) with an
//! expression that makes a fresh one.

mod changing;
mod counting;
mod enrolling;
mod listing;
mod once;
mod removing;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};

pub use changing::*;
pub use counting::*;
pub use enrolling::*;
pub use listing::*;
pub use once::*;
pub use removing::*;

use crate::command::{CreateStudent, StudentInput};
use crate::context::{Actor, Context};
use crate::store::{StoreError, Students};
use crate::student::{
    Change, Decision, Enrolment, EventId, Removal, Student, StudentChange, StudentEvent, StudentId, change,
    enrol, remove,
};

/// An implementation under test, with a store of its own that starts empty.
#[async_trait]
pub trait StudentsHarness: Send + Sync {
    /// The store.
    fn students(&self) -> Arc<dyn Students>;

    /// Every event emitted so far, oldest first, whether or not it was published already.
    async fn emitted(&self) -> Vec<StudentEvent>;

    /// The events whose notification was put on its way so far, oldest first.
    async fn notified(&self) -> Vec<EventId>;
}

/// Stamps one named `#[tokio::test]` per behaviour of [`Students`](crate::Students).
///
/// The argument is an expression whose future gives a fresh
/// [`StudentsHarness`](crate::conformance::students::StudentsHarness); it is evaluated once per test. The calling crate
/// needs `tokio` with the features `rt` and `macros`.
///
/// ```
/// use std::sync::Arc;
///
/// use tbx_core::conformance::students::StudentsHarness;
/// use tbx_core::memory::MemoryStudents;
/// use tbx_core::{EventId, StudentEvent, Students};
///
/// struct Memory(MemoryStudents);
///
/// #[async_trait::async_trait]
/// impl StudentsHarness for Memory {
///     fn students(&self) -> Arc<dyn Students> {
///         Arc::new(self.0.clone())
///     }
///
///     async fn emitted(&self) -> Vec<StudentEvent> {
///         self.0.events()
///     }
///
///     async fn notified(&self) -> Vec<EventId> {
///         self.0.notifications().iter().map(|event| event.id).collect()
///     }
/// }
///
/// async fn memory() -> Memory {
///     Memory(MemoryStudents::new())
/// }
///
/// tbx_core::students_conformance!(memory());
/// ```
#[macro_export]
macro_rules! students_conformance {
    ($harness:expr) => {
        $crate::students_conformance! { @stamp $harness;
            the_first_number_is_1_and_numbers_increase,
            a_number_is_not_given_again_after_a_removal,
            an_enrolment_emits_its_event_with_the_same_state,
            an_email_is_refused_to_a_second_student_whatever_its_case,
            a_refused_enrolment_leaves_nothing,
            an_enrolment_repeated_under_its_key_happens_once,
            a_repeated_enrolment_tells_of_the_student_as_it_was_enrolled,
            a_key_of_another_enrolment_is_refused_and_leaves_nothing,
            an_enrolment_that_was_refused_leaves_its_key_free,
            the_keys_of_two_actors_are_apart,
            of_concurrent_enrolments_under_one_key_one_happens_and_all_are_told_of_it,
            a_student_is_found_by_id_and_by_number,
            a_student_is_read_back_exactly_as_it_was_written,
            a_change_is_stored_and_emitted_with_the_same_state,
            a_change_decided_on_a_stale_version_is_a_conflict_and_emits_nothing,
            a_change_of_a_removed_student_is_a_conflict,
            a_change_keeps_events_counted_meanwhile,
            a_change_to_the_email_of_another_is_refused_and_leaves_everything,
            a_change_may_alter_the_case_of_the_own_email,
            a_changed_email_is_free_again,
            of_concurrent_changes_of_one_version_exactly_one_wins,
            of_concurrent_enrolments_with_one_email_exactly_one_wins,
            a_removal_emits_the_last_state_one_version_further,
            a_removal_frees_the_email,
            a_removal_decided_on_a_stale_version_is_a_conflict_and_emits_nothing,
            a_second_removal_is_a_conflict_and_emits_nothing,
            a_removal_keeps_events_counted_meanwhile,
            an_empty_list_is_one_empty_page,
            pages_have_no_gaps_and_no_repeats_in_any_order,
            a_page_goes_on_after_a_student_that_was_removed,
            a_search_finds_prefixes_of_names_and_email_ignoring_case,
            a_search_takes_wildcards_literally,
            a_search_is_paged_too,
            an_event_is_counted_and_notified,
            an_event_counted_twice_counts_once_and_notifies_once,
            counting_changes_neither_version_nor_audit,
            an_event_of_a_removed_student_is_notified,
            an_event_ahead_of_its_row_is_refused_and_may_come_again,
            an_event_counted_concurrently_counts_once,
        }
    };
    (@stamp $harness:expr; $($behaviour:ident,)+) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let harness = $harness.await;
                $crate::conformance::students::$behaviour(&harness).await;
            }
        )+
    };
}

fn ctx() -> Context {
    ctx_at(0)
}

fn ctx_at(millis: i64) -> Context {
    let now = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1_700_000_000_123 + millis);
    Context::new(now).with_actor(Actor::new("alice").unwrap())
}

fn person(first_name: &str, last_name: &str, email: &str) -> CreateStudent {
    StudentInput { first_name: Some(first_name), last_name: Some(last_name), email: Some(email) }
        .create()
        .unwrap()
}

fn ada() -> CreateStudent {
    person("Ada", "Lovelace", "Ada@Example.org")
}

fn enrolment(person: CreateStudent, ctx: &Context) -> Enrolment {
    enrol(person, StudentId::generate(ctx.now), EventId::generate(ctx.now), ctx)
}

async fn enrolled(harness: &dyn StudentsHarness, person: CreateStudent) -> Student {
    harness.students().enrol(enrolment(person, &ctx()), &ctx()).await.unwrap()
}

fn to_last_name(student: &Student, last_name: &str) -> Change {
    decided(student, StudentInput { last_name: Some(last_name), ..StudentInput::default() }.change().unwrap())
}

fn to_email(student: &Student, email: &str) -> Change {
    decided(student, StudentInput { email: Some(email), ..StudentInput::default() }.change().unwrap())
}

fn decided(student: &Student, wish: StudentChange) -> Change {
    let ctx = ctx_at(5);
    match change(student, wish, EventId::generate(ctx.now), &ctx) {
        Decision::Changed(change) => change,
        Decision::Unchanged => panic!("the wish is to change something"),
    }
}

fn removal(student: &Student) -> Removal {
    let ctx = ctx_at(9);
    remove(student, EventId::generate(ctx.now), &ctx)
}

fn assert_conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict)), "a conflict was expected, not {outcome:?}");
}

fn assert_email_taken<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::EmailTaken)), "a taken email was expected, not {outcome:?}");
}
