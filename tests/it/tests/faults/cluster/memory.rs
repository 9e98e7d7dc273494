//! What hosts hold in memory, over time.

use std::time::Duration;

use tokio::time::Instant;

use super::system::{SLOTS, Slot, System};

/// From when on it must not grow, of an hour.
const SETTLED: Duration = Duration::from_secs(10 * 60);
/// MiB an hour.
const SLOPE: f64 = 1.0;

/// The resident memory of the hosts that live as long as the test.
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
        for slot in SLOTS.into_iter().filter(|(_, number)| *number == 0) {
            let looks =
                self.looks.iter().filter(|(of, ..)| *of == slot).map(|(_, hours, mib)| (*hours, *mib));
            let all: Vec<(f64, f64)> = looks.collect();
            let settled: Vec<_> =
                all.iter().copied().filter(|(hours, _)| hours * 3_600.0 >= SETTLED.as_secs_f64()).collect();
            let of = if settled.is_empty() { &all } else { &settled };
            let (first, last) = (of[0].1, of[of.len() - 1].1);
            let slope = slope(of);
            println!("       {}: {first:.1} MiB, then {last:.1} MiB: {slope:+.2} MiB an hour", slot.0);
            // Shorter, the first requests would be taken for a leak.
            if self.length >= 4 * SETTLED {
                assert!(slope <= SLOPE, "{slot:?} grows by {slope:.2} MiB an hour");
            }
        }
    }
}

/// MiB.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
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
