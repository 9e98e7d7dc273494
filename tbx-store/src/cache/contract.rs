//! The contract.

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

/// Keeps bytes under a key, by version.
///
/// # Contract
///
/// - `put` replaces an entry only by a newer version, atomically, so that a slow writer cannot bring back the past.
/// - A `put` that failed or was dropped leaves nothing older behind: from then on no `get` of this value or a clone answers with an older version. A cache
///   that is shared sees to it, as soon as it can, that no other process does either, and that the end of this one does not change that for ever.
/// - An entry may disappear at any time; a cache is never the only place of anything.
/// - A value of `None` is a *tombstone*: it says that the thing is gone, and keeps older versions out.
/// - Any number of tasks may call at once; a clone shares the entries.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The entry, when there is one.
    ///
    /// # Errors
    ///
    /// When the cache cannot be reached: go on without it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn get(&self, key: &str) -> Result<Option<Cached>, CacheError>;

    /// Stores the entry if it is newer than what is there. Tells whether it was.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). Nothing older is read here afterwards.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has stored it or not; nothing older is read here afterwards.
    async fn put(&self, key: &str, entry: Cached) -> Result<bool, CacheError>;
}

/// What is newer: the first number decides, then the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CacheVersion(pub u64, pub u64);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// How new it is.
    pub version: CacheVersion,
    /// The bytes; `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// The cache cannot be reached.
#[derive(Debug, Error)]
#[error("the cache is not available")]
pub struct CacheError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
