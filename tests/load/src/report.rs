//! Numbers and their bars.

use std::process::ExitCode;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    measured: usize,
    missed: usize,
}

impl Report {
    /// Notes the median of several runs, held to a bar from above.
    pub(crate) fn at_most(&mut self, what: &str, unit: &str, bar: f64, mut runs: Vec<f64>) {
        runs.sort_by(f64::total_cmp);
        let median = runs[runs.len() / 2];
        self.note(what, unit, bar, median <= bar, &runs);
    }

    fn note(&mut self, what: &str, unit: &str, bar: f64, is_met: bool, runs: &[f64]) {
        let verdict = if is_met { "met" } else { "MISSED" };
        self.measured += 1;
        self.missed += usize::from(!is_met);
        let median = runs[runs.len() / 2];
        let (least, most) = (runs[0], runs[runs.len() - 1]);
        println!(
            "{verdict:<6} {what}: {median:.2} {unit} (bar {bar} {unit}; {least:.2} to {most:.2} in {} runs)",
            runs.len()
        );
    }

    /// Notes the median of several runs, held to a bar from below.
    pub(crate) fn at_least(&mut self, what: &str, unit: &str, bar: f64, mut runs: Vec<f64>) {
        runs.sort_by(f64::total_cmp);
        let median = runs[runs.len() / 2];
        self.note(what, unit, bar, median >= bar, &runs);
    }

    /// Whether all bars were met. Nothing measured is no success.
    pub(crate) fn finish(self) -> ExitCode {
        println!("{} of {} bars met", self.measured - self.missed, self.measured);
        if self.measured > 0 && self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The value below which `share` of the sorted values lie.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share).ceil() as usize;
    sorted[index.clamp(1, sorted.len()) - 1]
}
