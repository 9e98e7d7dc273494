//! Processes that end, or stand still.

use std::time::Duration;

use super::survive;
use super::system::SLOTS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_each_host_in_turn_loses_and_repeats_nothing() {
    let mut turn = 0;
    survive("kill -9 of each host", async |system| {
        let slot = SLOTS[turn % SLOTS.len()];
        turn += 1;
        system.take_host(slot).kill().await;
        system.start_host(slot).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_each_host_in_turn_loses_and_repeats_nothing() {
    let mut turn = 0;
    survive("SIGTERM of each host", async |system| {
        let slot = SLOTS[turn % SLOTS.len()];
        turn += 1;
        let host = system.take_host(slot);
        host.terminate().await;
        let (status, log) = host.ended().await;
        assert!(status.success(), "{slot:?} ended with {status}:\n{log}");
        system.start_host(slot).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_stands_still_past_its_lease_loses_and_repeats_nothing() {
    // The lease is 10 s.
    const STANDING: Duration = Duration::from_secs(13);
    survive("an api that stands still past its lease", async |system| {
        let host = system.host(("api", 0));
        signal("STOP", host.id()).await;
        tokio::time::sleep(STANDING).await;
        signal("CONT", host.id()).await;
    })
    .await;
}

async fn signal(name: &str, process: u32) {
    let mut kill = tokio::process::Command::new("kill");
    let status = kill.arg(format!("-{name}")).arg(process.to_string()).status().await.unwrap();
    assert!(status.success());
}
