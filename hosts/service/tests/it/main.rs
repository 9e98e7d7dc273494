//! Behaviour seen from outside, on real sockets where there are some.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy takes for no tests")]

mod config;
mod guard;
mod harness;
mod limits;
mod logged;
mod metrics;
mod problems;
mod serve;
#[cfg(unix)]
mod shutdown;
