//! Students at hand.

use std::sync::Arc;

use tbx_service::config::CacheUrl;
use tbx_service::{Config, Process};
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

    /// Starts to look after it: what could not be written while a server was away is made up for.
    pub fn watch(&self, process: &Process) {
        let Self::Redis(cache) = self else { return };
        let (cache, stop) = (cache.clone(), process.stops.watchers.clone());
        process.tasks.spawn("cache", async move {
            stop.run_until_cancelled(cache.keep_up()).await;
        });
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
