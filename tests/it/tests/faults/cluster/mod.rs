//! Two of each host on real servers, under writes, while one part after the other is ended, cut off or blocked.
//!
//! After each fault, and without help: every write that was answered with 2xx reaches every client that comes back, exactly once and in the order of the
//! student's versions; every effect happened once; nothing is stuck.

mod compose;
mod connections;
mod hosts;
mod memory;
mod pressure;
mod servers;
mod soak;
mod system;
mod traffic;

use std::time::Duration;

use self::system::System;
use self::traffic::Traffic;

/// Writes.
const PER_SECOND: u64 = 100;

/// How long each fault is tried, by `TBX_TEST_FAULT_SECONDS`.
fn length() -> Duration {
    let seconds = std::env::var("TBX_TEST_FAULT_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// Brings a fault about again and again under writes, to one target after the other and to each at least once, and compares what clients saw with what
/// they were told. `fault` returns when it is over.
async fn survive<T: Copy>(name: &str, targets: &[T], mut fault: impl AsyncFnMut(&mut System, T)) {
    let mut system = System::start().await;
    let traffic = Traffic::start_with(system.addresses(), PER_SECOND);
    traffic.reaches(100).await;
    let end = tokio::time::Instant::now() + length();
    let mut recoveries = Vec::new();
    for target in targets.iter().cycle() {
        fault(&mut system, *target).await;
        recoveries.push(traffic.recovers().await);
        if recoveries.len() >= targets.len() && tokio::time::Instant::now() >= end {
            break;
        }
    }
    let told = traffic.finish(&system).await;
    recoveries.sort_unstable();
    let (faults, median, worst) =
        (recoveries.len(), recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    println!(
        "{name}: {faults} faults, {told}; seen again by every client after {median:.1?} in the median, {worst:.1?} at worst"
    );
    system.end().await;
}
