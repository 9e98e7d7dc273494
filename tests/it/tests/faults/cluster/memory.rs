//! What hosts hold in memory, over time.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tbx_it::Client;
use tokio::time::Instant;

use super::system::{SLOTS, Slot, System};

/// From when on it must not grow, of an hour.
const SETTLED: Duration = Duration::from_secs(10 * 60);
/// MiB an hour.
const SLOPE: f64 = 1.0;
/// Of each such part of the time the middle counts: threads and buffers come and go with connections, and what leaks does not go.
const WINDOWS: u32 = 6;

/// The history that the soak keeps, and the topics that notifiers remember of which nothing is kept.
const KEPT: usize = 20_000 + 10_000;

/// Fills what is kept up to a number, one notification a topic, so that only what has no bound grows afterwards.
pub(super) async fn fill(system: &System, length: Duration) {
    const AT_ONCE: usize = 64;
    if !is_judged(length) {
        return;
    }
    let addresses = system.addresses();
    let publish = async |worker: usize| {
        let mut notifier = Client::new(addresses.pick("notifier", worker).unwrap());
        for number in (worker..KEPT + KEPT / 10).step_by(AT_ONCE) {
            let body = json!({ "topic": format!("soak.n{number}"), "event": "Filling", "data": number });
            let answer = notifier.json(Method::POST, "/api/notifications", &body).await.unwrap();
            assert_eq!(answer.status, 202);
        }
    };
    futures_util::future::join_all((0..AT_ONCE).map(publish)).await;
}

/// How many writes to begin with, as fast as they are answered: pools and buffers are as large as the greatest rush so far, and that is after an outage otherwise.
pub(super) fn rush(length: Duration) -> usize {
    if is_judged(length) { 3_000 } else { 50 }
}

/// Shorter, the first requests would be taken for a leak.
pub(super) fn is_judged(length: Duration) -> bool {
    length >= 4 * SETTLED
}

/// The memory of the hosts that live as long as the test: what the system has set aside for each, whether it was used yet or not. The buffers of a
/// connection to RabbitMQ are used page by page for minutes after it was made, and what is resident grows with them each time.
pub(super) struct Memory {
    begin: Instant,
    length: Duration,
    looks: Vec<(Slot, f64, f64)>,
}

impl Memory {
    pub(super) fn new(length: Duration) -> Self {
        Self { begin: Instant::now(), length, looks: Vec::new() }
    }

    pub(super) fn look(&mut self, system: &System) {
        let hours = self.begin.elapsed().as_secs_f64() / 3_600.0;
        for slot in SLOTS.into_iter().filter(|(_, number)| *number == 0) {
            self.looks.push((slot, hours, set_aside(system.host(slot).id())));
        }
    }

    /// Holds the slope to its bar when it was looked at for long enough to have one.
    pub(super) fn verify(&self) {
        let slopes = SLOTS.into_iter().filter(|(_, number)| *number == 0).map(|slot| {
            let looks =
                self.looks.iter().filter(|(of, ..)| *of == slot).map(|(_, hours, mib)| (*hours, *mib));
            let middles = middles(looks, self.length / WINDOWS);
            let (first, last) = (middles[0].1, middles[middles.len() - 1].1);
            let slope = slope(&middles);
            let all: Vec<_> = middles.iter().map(|(_, mib)| format!("{mib:.1}")).collect();
            println!(
                "       {}: {first:.1} MiB, then {last:.1} MiB: {slope:+.2} MiB an hour; middle of each window: {}",
                slot.0,
                all.join(" ")
            );
            (slot, slope)
        });
        let slopes: Vec<_> = slopes.collect();
        if is_judged(self.length) {
            assert!(slopes.iter().all(|(_, slope)| *slope <= SLOPE), "it grows: {slopes:?}");
        }
    }
}

/// The median of each window once everything has settled; of all of them when that never was.
fn middles(looks: impl Iterator<Item = (f64, f64)>, window: Duration) -> Vec<(f64, f64)> {
    let length = window.as_secs_f64() / 3_600.0;
    let mut windows: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (hours, mib) in looks {
        // The last look comes after the last fault, which may have taken longer than there was time.
        windows.entry(((hours / length) as u64).min(u64::from(WINDOWS) - 1)).or_default().push(mib);
    }
    let middle = |(window, mut looks): (u64, Vec<f64>)| {
        looks.sort_by(f64::total_cmp);
        (window as f64 * length, looks[looks.len() / 2])
    };
    let all: Vec<(f64, f64)> = windows.into_iter().map(middle).collect();
    let settled: Vec<_> =
        all.iter().copied().filter(|(hours, _)| hours * 3_600.0 >= SETTLED.as_secs_f64()).collect();
    if settled.is_empty() { all } else { settled }
}

/// MiB, without what is mapped from files.
fn set_aside(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmData:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024.0
}

/// By least squares.
fn slope(looks: &[(f64, f64)]) -> f64 {
    let count = looks.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| looks.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|look| look.0), mean(|look| look.1));
    let (mut above, mut below) = (0.0, 0.0);
    for look in looks {
        above += (look.0 - x) * (look.1 - y);
        below += (look.0 - x).powi(2);
    }
    if below == 0.0 { 0.0 } else { above / below }
}
