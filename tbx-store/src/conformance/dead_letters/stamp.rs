//! The macro that turns behaviours into tests.

/// Stamps one test per behaviour; see [`conformance::dead_letters`](crate::conformance::dead_letters).
#[macro_export]
macro_rules! dead_letters_conformance {
    (test: #[$test:meta], harness: $harness:expr $(,)?) => {
        $crate::dead_letters_conformance! { @stamp #[$test] $harness;
            office: letters_of_all_channels_are_listed_and_found;
            office: a_message_that_a_group_gives_up_again_is_one_letter;
            office: what_cannot_be_read_is_shown_and_can_only_be_discarded;
            office: a_letter_that_two_people_replay_is_replayed_once;
            office: a_message_that_is_still_under_way_is_not_replayed;
            office: a_replayed_message_comes_out_of_the_outbox_again_for_its_group;
            office: a_letter_that_no_group_gave_up_is_replayed_to_all;
            office: a_message_that_the_outbox_is_done_with_can_be_replayed;
            office: a_replayed_message_waits_behind_the_older_ones_of_its_key;
            replay: a_replay_reaches_the_group_that_gave_it_up_and_no_other;
            replay: a_replay_for_a_group_that_is_gone_is_a_dead_letter_again;
        }
    };
    (@stamp #[$test:meta] $harness:expr; $($group:ident: $case:ident;)*) => {
        $(
            #[$test]
            async fn $case() {
                $crate::conformance::dead_letters::$group::$case($harness).await;
            }
        )*
    };
}
