//! The memory tier.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use moka::ops::compute::{CompResult, Op};

use super::{Cache, CacheError, Cached};

/// A bounded cache within the process. A clone is the same cache.
///
/// ```
/// use tbx_store::cache::{Cache, CacheVersion, Cached, MemoryCache};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tbx_store::cache::CacheError> {
/// let cache = MemoryCache::new(16 << 20);
/// let entry = |version, text: &'static str| Cached { version: CacheVersion(version, 0), value: Some(text.into()) };
/// assert!(cache.put("greeting", entry(2, "new")).await?);
/// assert!(!cache.put("greeting", entry(1, "old")).await?);
/// assert_eq!(cache.get("greeting").await?, Some(entry(2, "new")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryCache {
    entries: moka::sync::Cache<String, Cached>,
}

/// What an entry costs beside its key and value.
const OVERHEAD: usize = 128;

impl MemoryCache {
    /// Holds at most about `capacity` bytes, and each entry for an hour after it was written.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let weight = |key: &String, entry: &Cached| {
            let bytes = key.len() + entry.value.as_ref().map_or(0, bytes::Bytes::len) + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let entries = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(weight)
            .time_to_live(Duration::from_secs(3600))
            .build();
        Self { entries }
    }

    /// How many entries there are, about: what was written or has grown too old in the last moments may not be counted yet.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Cached>, CacheError> {
        Ok(self.entries.get(key))
    }

    async fn put(&self, key: &str, entry: Cached) -> Result<bool, CacheError> {
        let result = self.entries.entry_by_ref(key).and_compute_with(|current| match current {
            Some(current) if current.value().version >= entry.version => Op::Nop,
            _ => Op::Put(entry),
        });
        Ok(matches!(result, CompResult::Inserted(_) | CompResult::ReplacedWith(_)))
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("entries", &self.entries.entry_count()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheVersion;

    #[tokio::test]
    async fn entries_are_counted_once_each() {
        let cache = MemoryCache::new(1 << 20);
        for (version, key) in [(1, "a"), (1, "b"), (2, "a"), (1, "a")] {
            cache.put(key, Cached { version: CacheVersion(version, 0), value: None }).await.unwrap();
        }
        assert_eq!(cache.entry_count(), 2);
    }
}
