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

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let mut report = Report::default();
    if runs("idle") {
        idle::run(&mut report);
    }
    if runs("topics") {
        topics::run(&mut report);
    }
    if runs("stalled") {
        stalled::run(&mut report);
    }
    if runs("publishing") {
        publishing::run(&mut report);
    }
    if runs("outbox") {
        outbox::run(&mut report);
    }
    if runs("backlog") {
        outbox::run_backlog(&mut report);
    }
    if runs("latency") {
        latency::run(&mut report);
    }
    if runs("servers") {
        latency::run_through_servers(&mut report);
    }
    report.finish()
}

/// A runtime of its own for each benchmark.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}
