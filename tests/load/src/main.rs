//! The benchmarks: `tbx-load [BENCHMARK…]`. Each prints its numbers with the bar they are held to, and the exit code says whether all were met.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails by panicking")]

mod idle;
mod latency;
mod outbox;
mod publishing;
mod report;
mod stalled;
mod topics;

use std::process::ExitCode;

use crate::report::Report;

type Benchmark = fn(&mut Report);

/// In the order in which they run.
const BENCHMARKS: [(&str, Benchmark); 8] = [
    ("idle", idle::run),
    ("topics", topics::run),
    ("stalled", stalled::run),
    ("publishing", publishing::run),
    ("outbox", outbox::run),
    ("backlog", outbox::run_backlog),
    ("latency", latency::run),
    ("servers", latency::run_through_servers),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let names = BENCHMARKS.map(|(name, _)| name);
    if let Some(unknown) = wanted.iter().find(|wanted| !names.contains(&wanted.as_str())) {
        eprintln!("{unknown} is no benchmark; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    for (name, run) in BENCHMARKS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(&mut report);
        }
    }
    report.finish()
}

/// A runtime of its own for each benchmark.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}
