//! A broker that takes nothing.

use std::time::Duration;

use super::survive;
use super::system::System;

const BLOCKED: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_blocked_by_its_memory_alarm_loses_and_repeats_nothing() {
    survive("the broker blocked by its memory alarm", &[()], async |system, ()| block(system).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_waits_for_a_full_queue_and_loses_nothing() {
    survive("the queue of the workers full", &[()], async |system, ()| fill(system).await).await;
}

pub(super) async fn block(system: &System) {
    system.servers.raise_alarm().await;
    tokio::time::sleep(BLOCKED).await;
    system.servers.end_alarm().await;
}

pub(super) async fn fill(system: &System) {
    // No room at all, so that the queue is full whatever the workers take.
    system.vhost.set_policy("^tbx.worker$", r#"{"max-length":0,"overflow":"reject-publish"}"#);
    tokio::time::sleep(BLOCKED).await;
    system.vhost.clear_policy();
}
