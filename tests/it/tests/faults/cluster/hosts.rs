//! Processes that end, or stand still.

use std::time::Duration;

use super::survive;
use super::system::{SLOTS, Slot, System};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_each_host_in_turn_loses_and_repeats_nothing() {
    survive("kill -9 of each host", &SLOTS, async |system, slot| kill(system, slot).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_each_host_in_turn_loses_and_repeats_nothing() {
    survive("SIGTERM of each host", &SLOTS, async |system, slot| stop(system, slot).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_stands_still_past_its_lease_loses_and_repeats_nothing() {
    let name = "an api that stands still past its lease";
    survive(name, &[("api", 0)], async |system, slot| stand_still(system, slot).await).await;
}

pub(super) async fn kill(system: &mut System, slot: Slot) {
    system.take_host(slot).kill().await;
    system.start_host(slot).await;
}

pub(super) async fn stop(system: &mut System, slot: Slot) {
    let host = system.take_host(slot);
    host.terminate().await;
    let (status, log) = host.ended().await;
    assert!(status.success(), "{slot:?} ended with {status}:\n{log}");
    system.start_host(slot).await;
}

/// Longer than the lease of a relay, which is 10 s.
pub(super) async fn stand_still(system: &System, slot: Slot) {
    let host = system.host(slot);
    signal("STOP", host.id()).await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    signal("CONT", host.id()).await;
}

async fn signal(name: &str, process: u32) {
    let mut kill = tokio::process::Command::new("kill");
    let status = kill.arg(format!("-{name}")).arg(process.to_string()).status().await.unwrap();
    assert!(status.success());
}
