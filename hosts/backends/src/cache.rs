//! Students at hand.

use std::sync::Arc;

use tbx_service::Config;
use tbx_service::config::CacheUrl;
use tbx_store::cache::{Cache, MemoryCache, RedisCache};
use tbx_store::students::CachedStudents;

use crate::OpenError;

const SETTING: &str = "TBX_CACHE_URL";

/// What keys on a server begin with.
const KEYS: &str = "tbx:cache:";

/// How much the cache in memory holds.
const CAPACITY: u64 = 16 << 20;

/// The cache. A clone is the same.
#[derive(Debug, Clone)]
pub enum OpenCache {
    /// Within the process.
    Memory(MemoryCache),
    /// Shared with others.
    Redis(RedisCache),
}

impl OpenCache {
    /// Opens the cache.
    ///
    /// # Errors
    ///
    /// When its URL cannot be used. A server that does not answer is no error: reads go on without it.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        match &config.cache_url {
            CacheUrl::Memory => Ok(Self::Memory(MemoryCache::new(CAPACITY))),
            CacheUrl::Redis(url) => {
                let cache = RedisCache::new(url.reveal(), KEYS);
                Ok(Self::Redis(cache.map_err(|error| OpenError::of(SETTING)(error.into()))?))
            }
        }
    }

    /// The students in it.
    #[must_use]
    pub fn students(&self) -> CachedStudents {
        let cache: Arc<dyn Cache> = match self {
            Self::Memory(cache) => Arc::new(cache.clone()),
            Self::Redis(cache) => Arc::new(cache.clone()),
        };
        CachedStudents::new(cache)
    }
}
