//! What every outbox does, one named test for each.
//!
//! A backend's author implements [`OutboxHarness`] and stamps the suite:
//!
//! ```text
//! tbx_store::outbox_conformance! {
//!     test: #[tokio::test(flavor = "multi_thread")],
//!     harness: MyHarness::start().await,
//!     claims: { relays: no("one process owns the file") }
//! }
//! ```
//!
//! | claim | what it says |
//! |---|---|
//! | `relays` | any number of processes may relay from the same tables, and take over from each other; each [`OutboxHarness::process`] stands for one |
//!
//! `yes` stamps the tests of a claim; `no("reason")` stamps none, and the reason stands beside the tests for whoever reads what the backend
//! promises.

mod harness;
mod order;
mod process;
mod publisher;
pub mod relaying;
pub mod sharing;
mod stamp;
pub mod store;

pub use harness::{OutboxHarness, OutboxProcess};
