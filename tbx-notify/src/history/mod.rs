//! The history: what was fanned out lately, in order, so that a reader who comes back gets exactly what it missed.

mod contract;
mod index;
mod memory;
#[cfg(any(feature = "redis", feature = "sqlite"))]
mod recent;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
mod topic_tree;

pub use contract::{Appended, Bounds, History, HistoryError, Matching, Retention};
pub use memory::MemoryHistory;
#[cfg(feature = "redis")]
pub use redis::{ClockSkew, RedisFacts, RedisHead, RedisHistory, RedisHistoryOptions, RedisState};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteHistory;
