//! The in-memory bus: the reference semantics of [`Publisher`](crate::Publisher) and [`Subscriber`](crate::Subscriber), complete, with faults on demand.
//!
//! Queues are bounded: a publication that finds the queue of a matching group full is refused whole
//! ([`QueueFull`](crate::BusErrorKind::QueueFull)). Delays run on tokio's clock, so tests with paused time do not wait. Finding the
//! groups of a message is linear in the number of groups; fan-out to many listeners is the business of `tbx-notify`.

mod burial;
mod bus;
mod config;
mod consumer;
mod faults;
mod group;
mod listener;
mod partitions;
mod publication;
mod settle;

pub use bus::MemoryBus;
pub use config::{MemoryBusBuilder, Unroutable};
pub use faults::Faults;
