//! The macro that turns behaviours into tests.

/// Stamps one test per behaviour, in the module where it stands; see [`conformance::outbox`](crate::conformance::outbox) for the whole picture.
#[macro_export]
macro_rules! outbox_conformance {
    (
        test: #[$test:meta],
        harness: $harness:expr,
        claims: { relays: $relays:ident $(($why:literal))? $(,)? } $(,)?
    ) => {
        $crate::__outbox_cases! {
            #[$test] $harness;
            store: what_was_rolled_back_is_never_claimed;
            store: a_message_comes_out_as_it_went_in;
            store: an_id_in_the_outbox_is_not_appended_again;
            store: one_message_of_a_key_is_out_at_a_time;
            store: channels_are_apart;
            store: everything_is_claimed_once_in_small_bites;
            store: a_message_put_off_keeps_its_key_waiting_until_it_is_due;
            store: a_dead_letter_is_stored_with_the_settlement_and_the_key_goes_on;
            store: a_message_given_up_becomes_a_dead_letter_and_its_key_goes_on;
            store: a_row_that_cannot_be_read_becomes_a_dead_letter_and_its_key_goes_on;
            store: what_is_settled_does_not_come_back;
            store: after_a_clean_stop_everything_is_as_if_nothing_had_been_handed_over;
            store: an_append_wakes_whoever_waits;
            store: purging_loses_nothing_undone;
            store: the_numbers_tell_what_waits_is_out_and_is_dead;
            store: after_a_crash_what_was_handed_over_is_left_behind_and_charged;
            relaying: a_relay_publishes_everything_in_the_order_of_its_keys;
            relaying: a_crash_between_confirmation_and_settlement_repeats_and_loses_nothing;
            relaying: whatever_a_crash_interrupts_is_published_by_the_next_process;
        }
        $crate::__outbox_claim_relays! { $relays #[$test] $harness; }
    };
}

/// The tests of processes that share tables.
#[doc(hidden)]
#[macro_export]
macro_rules! __outbox_claim_relays {
    (no $($rest:tt)*) => {};
    (yes #[$test:meta] $harness:expr;) => {
        $crate::__outbox_cases! {
            #[$test] $harness;
            sharing: a_process_relays_what_it_appended;
            sharing: a_message_waits_for_an_older_one_of_its_key_in_another_process;
            sharing: a_process_that_is_gone_is_taken_over_from_when_its_lease_ends;
            sharing: a_process_that_stops_is_taken_over_from_at_once;
            sharing: a_process_paused_past_its_lease_settles_nothing_and_is_told;
            sharing: a_process_without_a_relay_appends_for_the_others;
            sharing: two_relays_publish_everything_once_and_in_the_order_of_its_keys;
            sharing: the_other_relay_publishes_what_a_dead_one_left_in_order;
            sharing: a_key_waits_for_its_message_of_a_dead_process;
        }
    };
}

/// One test for each name.
#[doc(hidden)]
#[macro_export]
macro_rules! __outbox_cases {
    (#[$test:meta] $harness:expr; $($group:ident: $case:ident;)*) => {
        $(
            #[$test]
            async fn $case() {
                $crate::conformance::outbox::$group::$case($harness).await;
            }
        )*
    };
}
