//! The macro that turns behaviours into tests.

/// Stamps one test per behaviour, in the module where it stands; see [`conformance`](crate::conformance) for the whole picture.
///
/// - `test`: the attribute that makes an `async fn` a test, such as `#[tokio::test(start_paused = true)]`.
/// - `harness`: an expression for a fresh [`Harness`](crate::conformance::Harness); it may `.await`.
/// - `claims`: an answer to every claim, `yes` or `no("reason")`, in the order of the table in [`conformance`](crate::conformance).
#[macro_export]
macro_rules! bus_conformance {
    (
        test: #[$test:meta],
        harness: $harness:expr,
        claims: { $($claim:ident: $answer:ident $(($why:literal))?),* $(,)? } $(,)?
    ) => {
        $crate::__bus_claims_answered!($($claim)*);
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: what_is_published_is_received_whole;
            publishing: nothing_is_lost_with_fifty_publishers_and_fifty_consumers;
            publishing: a_cancelled_publish_leaves_the_message_whole_or_not_at_all;
            delivery: a_dropped_delivery_comes_back_in_its_place;
            delivery: a_released_delivery_comes_back_in_its_place;
            delivery: the_attempt_rises_when_a_delivery_is_dropped_or_retried;
            delivery: the_attempt_does_not_rise_when_a_delivery_is_released;
            delivery: an_acknowledged_message_does_not_come_back;
            delivery: no_more_than_the_prefetch_is_unsettled;
            delivery: a_retry_comes_not_before_its_delay_and_not_long_after;
            delivery: a_retry_after_the_longest_delay_does_not_come;
            delivery: a_message_that_waits_for_its_retry_holds_up_nothing;
            delivery: what_a_leaving_consumer_held_goes_to_another;
            delivery: a_cancelled_next_loses_nothing;
            groups: two_groups_both_get_everything;
            groups: competing_consumers_share_without_overlap_and_each_gets_some;
            groups: topics_do_not_cross_talk;
            groups: wildcards_route_as_the_grammar_says;
            groups: private_words_need_writing_out;
            groups: a_group_may_take_private_topics_by_its_wildcards;
            groups: a_message_that_two_patterns_match_comes_once;
            groups: a_message_for_one_group_reaches_no_other_and_says_that_it_is_late;
            groups: a_message_for_a_group_that_is_not_there_is_unroutable;
            groups: what_is_published_before_the_first_consumer_is_kept;
            groups: consumers_that_come_and_go_lose_nothing;
            groups: only_the_first_consumer_of_a_single_active_group_receives;
            groups: the_next_takes_over_when_the_active_consumer_leaves;
            groups: the_takeover_waits_until_what_the_first_held_is_settled;
            groups: declaring_the_same_group_twice_is_harmless;
            groups: the_prefetch_belongs_to_each_consumer;
            groups: declaring_a_group_with_other_patterns_is_refused;
            groups: declaring_a_group_with_another_mode_is_refused;
            groups: declaring_a_group_with_another_answer_to_private_topics_is_refused;
            groups: declaring_a_group_with_its_patterns_in_another_order_is_harmless;
            groups: declaring_a_group_without_patterns_is_refused;
            broadcast: each_listener_gets_its_own_copy;
            broadcast: a_listener_hears_only_what_it_asked_for_from_now_on;
            broadcast: a_listener_needs_private_words_written_out;
            broadcast: what_is_heard_is_neither_retried_nor_dead_lettered;
            broadcast: a_slow_listener_loses_the_oldest_and_is_told_how_many;
            broadcast: nobody_waits_for_a_listener_that_does_not_read;
            order: one_consumer_receives_a_key_in_the_order_published;
            order: a_key_is_handled_in_order_with_concurrent_lanes;
            order: the_order_of_a_key_is_kept_through_retries;
            order: a_key_goes_on_after_a_message_was_given_up;
            order: a_failing_key_does_not_hold_up_others;
            failure: a_failing_message_is_retried_and_then_dead_lettered;
            failure: a_failing_message_of_an_ordered_group_is_retried_and_then_dead_lettered;
            failure: a_permanent_failure_is_dead_lettered_at_once;
            failure: a_missing_dependency_is_waited_for_and_no_attempt_counts;
            failure: a_panic_of_the_handler_counts_as_a_failure;
            failure: what_is_never_settled_is_dead_lettered_at_the_delivery_limit;
            failure: what_is_always_retried_is_dead_lettered_at_the_delivery_limit;
            failure: a_dead_letter_goes_to_the_sink_when_the_receipt_was_dropped;
            failure: one_group_giving_up_does_not_touch_another;
            content: an_empty_body_arrives;
            content: a_binary_body_arrives;
            content: text_beyond_ascii_arrives;
            content: a_body_of_one_mebibyte_arrives;
            content: topics_beyond_ascii_are_routed;
            content: the_trace_survives_a_retry;
            lifecycle: a_consumer_tells_what_it_is_doing;
            lifecycle: a_stopping_consumer_finishes_what_runs_and_returns_the_rest;
            lifecycle: a_handler_that_does_not_end_is_dropped_at_the_deadline;
            lifecycle: a_stop_does_not_wait_out_a_retry_delay;
        }
        $($crate::__bus_claim! { $claim $answer $(($why))?; #[$test] $harness })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __bus_claims_answered {
    (finished unroutable body_limit queue_limit strict_limit sink_failure cut block lost_confirm duplicate close partitions expiry) => {};
    ($($other:ident)*) => {
        ::core::compile_error!(
            "answer every claim, in this order: finished, unroutable, body_limit, queue_limit, strict_limit, sink_failure, cut, block, lost_confirm, duplicate, close, partitions, expiry"
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __bus_cases {
    (#[$test:meta] $harness:expr; $($group:ident: $case:ident;)*) => {
        $(
            #[$test]
            async fn $case() {
                let harness = $harness;
                $crate::conformance::$group::$case(&harness).await;
                $crate::conformance::Harness::tear_down(&harness).await;
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __bus_claim {
    (finished yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: the_capabilities_say_that_finished_is_reported;
            publishing: finished_comes_only_after_every_group_is_done;
            publishing: a_message_that_only_a_listener_hears_is_finished_at_once;
            failure: finished_carries_the_dead_letters_to_the_holder_of_the_receipt;
            failure: the_sink_gets_what_a_dropped_receipt_had_taken;
            failure: the_sink_gets_what_an_answered_receipt_was_never_asked_for;
        }
    };
    (finished no($why:literal); #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: the_capabilities_say_that_finished_is_not_reported;
        }
    };
    (unroutable yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_message_that_nobody_takes_is_refused;
        }
    };
    (body_limit yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_body_above_the_limit_is_refused_and_reaches_nobody;
        }
    };
    (queue_limit yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_full_group_refuses_and_takes_again_when_it_was_worked_off;
        }
    };
    (strict_limit yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_full_group_refuses_until_it_has_room;
            publishing: a_full_group_has_no_room_for_what_is_lent_or_put_off;
            publishing: what_one_group_refuses_no_other_gets;
        }
    };
    (sink_failure yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            failure: a_message_whose_letter_cannot_be_stored_returns_to_its_group;
            failure: a_letter_that_cannot_be_stored_holds_up_nothing;
        }
    };
    (cut yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            lifecycle: after_a_cut_settling_fails_and_the_message_comes_again;
            lifecycle: a_waiting_consumer_is_told_of_a_cut_and_can_come_back;
            lifecycle: a_listener_is_told_of_a_cut_and_can_come_back;
            lifecycle: what_was_queued_survives_a_cut;
            lifecycle: an_unfinished_receipt_is_answered_at_a_cut;
            lifecycle: a_running_consumer_survives_cuts_and_handles_everything;
        }
    };
    (block yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_blocked_publisher_waits_and_goes_on;
            publishing: a_publisher_blocked_for_too_long_is_told_so;
        }
    };
    (lost_confirm yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_lost_confirmation_is_reported_and_the_message_arrives;
        }
    };
    (duplicate yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            publishing: a_duplicate_arrives_with_the_same_id;
        }
    };
    (close yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            lifecycle: closing_ends_every_next;
            lifecycle: a_closed_bus_refuses_everything;
            lifecycle: an_unfinished_receipt_is_answered_at_the_close;
            lifecycle: a_running_consumer_ends_when_the_bus_is_closed;
        }
    };
    (partitions yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            partitions: one_consumer_gets_every_key_in_the_order_published;
            partitions: messages_without_a_key_arrive_in_the_order_published;
            partitions: no_more_than_the_prefetch_is_unsettled_over_all_partitions;
            partitions: a_consumer_that_joins_gets_its_share_and_every_key_keeps_its_order;
            partitions: what_a_consumer_had_goes_to_the_others_when_it_leaves;
            partitions: the_order_of_a_key_in_a_partition_is_kept_through_failures;
            partitions: a_retry_stays_with_its_key;
            partitions: declaring_a_group_with_another_number_of_partitions_is_refused;
        }
    };
    (partitions no($why:literal); #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            partitions: a_group_with_partitions_is_refused;
        }
    };
    (expiry yes; #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            expiry: a_group_that_nobody_uses_goes_after_its_expiry;
            expiry: a_group_with_a_consumer_stays_with_its_letters;
            expiry: declaring_a_group_with_another_expiry_is_refused;
        }
    };
    (expiry no($why:literal); #[$test:meta] $harness:expr) => {
        $crate::__bus_cases! {
            #[$test] $harness;
            expiry: a_group_with_an_expiry_is_refused;
        }
    };
    ($claim:ident no($why:literal); #[$test:meta] $harness:expr) => {};
    ($claim:ident $($answer:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "answer `",
            ::core::stringify!($claim),
            "` with `yes` or `no(\"reason\")`"
        ));
    };
}
