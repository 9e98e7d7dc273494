//! The students of the reference system: the ports of `tbx-core` on the outbox, the cache and a bus.

mod announcer;
mod cache;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod failure;
mod message;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod once;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod search;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use announcer::BusAnnouncer;
pub use cache::CachedStudents;
pub use message::{event_message, notification_message};
