//! What is killed, and what it must not cost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod crash_points;
mod crash_points_on_servers;
mod crowd;
mod killing;
mod ledger;
mod partitions;
mod poison;
mod poison_on_servers;
