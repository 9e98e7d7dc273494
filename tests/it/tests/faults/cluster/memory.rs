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
/// Of this long the least counts: buffers come and go with connections, and what leaks does not go.
const WINDOW: Duration = Duration::from_secs(5 * 60);

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

/// Shorter, the first requests would be taken for a leak.
fn is_judged(length: Duration) -> bool {
    length >= 4 * SETTLED
}

/// The memory of the hosts that live as long as the test, without what is mapped from files.
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
            self.looks.push((slot, hours, resident(system.host(slot).id())));
        }
    }

    /// Holds the slope to its bar when it was looked at for long enough to have one.
    pub(super) fn verify(&self) {
        let slopes = SLOTS.into_iter().filter(|(_, number)| *number == 0).map(|slot| {
            let looks =
                self.looks.iter().filter(|(of, ..)| *of == slot).map(|(_, hours, mib)| (*hours, *mib));
            let floors = floors(looks);
            let (first, last) = (floors[0].1, floors[floors.len() - 1].1);
            let slope = slope(&floors);
            println!("       {}: {first:.1} MiB, then {last:.1} MiB: {slope:+.2} MiB an hour", slot.0);
            (slot, slope)
        });
        let slopes: Vec<_> = slopes.collect();
        if is_judged(self.length) {
            assert!(slopes.iter().all(|(_, slope)| *slope <= SLOPE), "it grows: {slopes:?}");
        }
    }
}

/// The least of each window once everything has settled; of all of them when that never was.
fn floors(looks: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut floors = BTreeMap::new();
    for (hours, mib) in looks {
        let window = (hours * 3_600.0 / WINDOW.as_secs_f64()) as u64;
        let floor = floors.entry(window).or_insert(mib);
        *floor = mib.min(*floor);
    }
    let in_hours = |(window, mib): (u64, f64)| (window as f64 * WINDOW.as_secs_f64() / 3_600.0, mib);
    let all: Vec<(f64, f64)> = floors.into_iter().map(in_hours).collect();
    let settled: Vec<_> =
        all.iter().copied().filter(|(hours, _)| hours * 3_600.0 >= SETTLED.as_secs_f64()).collect();
    if settled.is_empty() { all } else { settled }
}

/// MiB.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
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
