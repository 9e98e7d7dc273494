//! The behaviours that races would break, on several threads and in real time.

use tbx_bus::conformance::{delivery, lifecycle, order, publishing};

use crate::harness::MemoryHarness;

macro_rules! on_threads {
    ($($group:ident: $case:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                $group::$case(&MemoryHarness::new()).await;
            }
        )*
    };
}

on_threads! {
    publishing: nothing_is_lost_with_fifty_publishers_and_fifty_consumers;
    delivery: a_cancelled_next_loses_nothing;
    order: a_key_is_handled_in_order_with_concurrent_lanes;
    order: the_order_of_a_key_is_kept_through_retries;
    lifecycle: a_running_consumer_survives_cuts_and_handles_everything;
}
