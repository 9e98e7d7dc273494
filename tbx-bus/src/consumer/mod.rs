//! Runs a [`tower_service::Service`] over a group: one lane per key, retries, panics as failures, drain.
//!
//! ```
//! use std::sync::Arc;
//! use tbx_bus::consumer::{Consumer, Failure, Incoming};
//! use tbx_bus::{Group, MemoryBus, Message, Publisher, Topic, TopicPattern};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = MemoryBus::new();
//! let group = Group::new("mailer", [TopicPattern::new("order.*")?]).with_single_active();
//! let handler = tower::service_fn(|incoming: Incoming| async move {
//!     println!("{} in attempt {}", incoming.message.kind(), incoming.attempt);
//!     Ok::<(), Failure>(())
//! });
//!
//! let stop = CancellationToken::new();
//! let consumer = Consumer::new(Arc::new(bus.clone()), group, handler);
//! let mut state = consumer.state();
//! let running = tokio::spawn(consumer.run(stop.clone()));
//! state.wait_for(|state| state.is_running()).await?;
//!
//! bus.publish(Message::new(Topic::new("order.placed")?, "OrderPlaced", "{}")).await?.finished().await?;
//! stop.cancel();
//! running.await?;
//! # Ok(())
//! # }
//! ```
//!
//! Tower layers (timeouts, limits, tracing) wrap the handler as they wrap any service.

mod failure;
mod incoming;
mod lane;
mod runtime;
mod state;
mod suspects;

pub use failure::Failure;
pub use incoming::Incoming;
pub use runtime::Consumer;
pub use state::ConsumerState;
