//! A cache that only moves forward: an entry has a version, and an older one never replaces a newer one.

#[cfg(feature = "redis")]
mod address;
mod contract;
#[cfg(feature = "redis")]
mod line;
mod memory;
#[cfg(feature = "redis")]
mod owed;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod wire;

pub use contract::{Cache, CacheError, CacheVersion, Cached};
pub use memory::MemoryCache;
#[cfg(feature = "redis")]
pub use redis::RedisCache;
