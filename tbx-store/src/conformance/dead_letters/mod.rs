//! What everyone who stores dead letters does, one named test for each.
//!
//! A backend's author implements [`DeadLettersHarness`] and stamps the suite:
//!
//! ```text
//! tbx_store::dead_letters_conformance! {
//!     test: #[tokio::test(flavor = "multi_thread")],
//!     harness: MyHarness::start().await,
//! }
//! ```

mod harness;
pub mod office;
pub mod replay;
mod stamp;

pub use harness::DeadLettersHarness;
