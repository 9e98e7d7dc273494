//! The behaviours that every backend shows, one named test for each.
//!
//! A backend's author implements [`Harness`] and stamps the suite with [`bus_conformance!`](crate::bus_conformance):
//!
//! ```
//! use std::sync::Arc;
//!
//! use tbx_bus::conformance::Harness;
//! use tbx_bus::{DeadLetter, MemoryBus, MemoryDeadLetters, Publisher, Subscriber};
//!
//! /// Stands for a bus of your own; made afresh for every test.
//! struct MyHarness {
//!     bus: MemoryBus,
//!     sink: Arc<MemoryDeadLetters>,
//! }
//!
//! impl MyHarness {
//!     async fn start() -> Self {
//!         let sink = Arc::new(MemoryDeadLetters::default());
//!         Self { bus: MemoryBus::builder().with_dead_letters(sink.clone()).build(), sink }
//!     }
//! }
//!
//! #[async_trait::async_trait]
//! impl Harness for MyHarness {
//!     fn publisher(&self) -> Arc<dyn Publisher> {
//!         Arc::new(self.bus.clone())
//!     }
//!
//!     fn subscriber(&self) -> Arc<dyn Subscriber> {
//!         Arc::new(self.bus.clone())
//!     }
//!
//!     async fn dead_letters(&self, group: &str) -> Vec<DeadLetter> {
//!         self.sink.letters().into_iter().filter(|letter| letter.group.as_ref() == group).collect()
//!     }
//!
//!     async fn cut(&self) {
//!         self.bus.faults().cut();
//!     }
//! }
//!
//! mod my_bus {
//!     use super::MyHarness;
//!
//!     tbx_bus::bus_conformance! {
//!         test: #[tokio::test(flavor = "multi_thread")],
//!         harness: MyHarness::start().await,
//!         claims: {
//!             finished: yes,
//!             unroutable: yes,
//!             body_limit: no("the harness sets none"),
//!             queue_limit: no("the harness sets none"),
//!             strict_limit: no("the harness sets none"),
//!             sink_failure: no("the sink cannot be made to fail"),
//!             cut: yes,
//!             block: no("the bus cannot be made to block"),
//!             lost_confirm: no("confirmations cannot be lost in one process"),
//!             duplicate: no("nothing duplicates"),
//!             close: no("the bus lives as long as the server"),
//!             partitions: yes,
//!             expiry: yes,
//!         }
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # What is run
//!
//! Most behaviours are the contract itself and stamped for everyone. Thirteen *claims* cover what a backend may lack, or what a harness may be
//! unable to bring about. Every claim must be answered, in the order above. `yes` stamps its tests; `no("reason")` stamps none,
//! and the reason stands beside the tests for whoever reads what the backend promises. An answer left out does not compile.
//!
//! | claim | what it says | what the harness needs |
//! |---|---|---|
//! | `finished` | receipts resolve their finished moment; must agree with the [`Capabilities`](crate::Capabilities) | |
//! | `unroutable` | a message that nobody takes, no group and no listener, is refused | |
//! | `body_limit` | a body above [`Terms::max_body`] is refused | a limit worth testing |
//! | `queue_limit` | a group holding [`Terms::queue_capacity`] waiting messages refuses more | a small capacity |
//! | `strict_limit` | one settled message makes room for one, lent and put off ones take it too, and what one group refuses no other gets | a small capacity |
//! | `sink_failure` | a dead letter that cannot be stored is no loss | [`Harness::break_sink`], [`Harness::mend_sink`] |
//! | `cut` | a lost connection is survived | [`Harness::cut`] |
//! | `block` | a bus that takes nothing for a while makes publishers wait | [`Harness::block`], [`Harness::unblock`] |
//! | `lost_confirm` | a lost confirmation is reported | [`Harness::lose_next_confirm`] |
//! | `duplicate` | a repetition is known by its id | [`Harness::duplicate_next`] |
//! | `close` | an orderly end is told to everyone | [`Harness::close`] |
//! | `partitions` | an ordered group can be spread over several consumers; with `no`, declaring one with more than one partition is refused | |
//! | `expiry` | a group can go when nobody uses it; with `no`, declaring one with an expiry is refused | |
//!
//! # Time
//!
//! The suite waits on conditions with a deadline ([`Terms::patience`]); that nothing happens it believes after [`Terms::silence`]. Handlers that
//! take a while sleep on tokio's clock, so a backend without sockets runs the suite under `start_paused = true` in no time.
//!
//! # Stability
//!
//! New behaviours and claims may come with any release: the suite is exempt from semantic versioning.

#![expect(clippy::expect_used, reason = "a suite fails by panicking")]

mod harness;
#[macro_use]
mod stamp;
mod steps;

pub mod broadcast;
pub mod content;
pub mod delivery;
pub mod expiry;
pub mod failure;
pub mod groups;
pub mod lifecycle;
pub mod order;
pub mod partitions;
pub mod publishing;

pub use harness::{Harness, Terms};
