//! The suite that every [`History`](crate::history::History) passes, one named test for each behaviour.
//!
//! A backend implements [`Harness`] and calls [`history_conformance!`](crate::history_conformance) with an expression whose future makes a fresh
//! one. A harness that claims [`Harness::is_durable`] is reopened by the cases on durability; one that does not is held to having a new epoch instead.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a suite fails by panicking")]

mod appending;
mod harness;
mod reading;
mod trimming;

pub use appending::*;
pub use harness::Harness;
pub use reading::*;
pub use trimming::*;

/// Stamps one named `#[tokio::test]` for each behaviour. The calling crate needs `tokio` with `rt-multi-thread` and `macros`.
#[macro_export]
macro_rules! history_conformance {
    ($harness:expr) => {
        $crate::history_conformance! { @stamp $harness;
            offsets_start_at_1_and_grow_by_one,
            an_id_is_appended_once_and_answered_with_its_first_position,
            concurrent_appends_get_offsets_without_holes,
            concurrent_repetitions_are_appended_once,
            an_append_is_visible_when_it_is_answered,
            entries_come_back_as_they_went_in,
            a_reopened_durable_history_goes_on_and_any_other_has_a_new_epoch,
            reading_goes_on_after_any_offset,
            matching_reads_give_every_wanted_entry_once_and_in_order,
            matching_reads_stop_where_they_are_told,
            private_topics_are_read_only_when_written_out,
            the_newest_entry_of_a_topic_is_known,
            what_exceeds_the_count_is_trimmed_from_the_old_end,
            what_exceeds_the_age_is_trimmed_from_the_old_end,
            only_those_who_missed_something_are_told,
            what_was_trimmed_is_remembered_when_reopened,
            a_trimmed_history_goes_on_counting,
        }
    };
    (@stamp $harness:expr; $($behaviour:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                $crate::conformance::$behaviour(&mut $harness.await).await;
            }
        )+
    };
}
