//! Students at hand.

use std::sync::Arc;
use std::time::Duration;

use tbx_notify::history::{RedisFacts, Retention};
use tbx_service::config::CacheUrl;
use tbx_service::{Config, Process};
use tbx_store::cache::{Cache, MemoryCache, RedisCache};
use tbx_store::students::CachedStudents;

use crate::examine::of_redis;
use crate::history::redis_options;
use crate::{OpenError, status};

const SETTING: &str = "TBX_CACHE_URL";

/// What keys on a server begin with.
const KEYS: &str = "tbx:cache:";

/// How much the cache in memory holds.
const CAPACITY: u64 = 16 << 20;

/// How long a start waits for an answer: without a cache it is slower, and no more.
const PROBE: Duration = Duration::from_secs(1);

/// How often health looks whether the last call to a server was answered.
const LOOK: Duration = Duration::from_secs(1);

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
                Ok(Self::Redis(cache.map_err(|error| OpenError::unusable(SETTING, error))?))
            }
        }
    }

    /// Asks a server once whether it lets this process in. One that is away is no error: it comes back by itself, and what only a person can mend does
    /// not.
    ///
    /// # Errors
    ///
    /// When it refuses; the cause names what to do.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn probe(config: &Config) -> Result<(), OpenError> {
        let CacheUrl::Redis(url) = &config.cache_url else { return Ok(()) };
        let options = redis_options(SETTING, url, Retention::default())?;
        let why = match tokio::time::timeout(PROBE, RedisFacts::of(&options)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if error.is_retryable() => of_redis(&error),
            Ok(Err(error)) => return Err(OpenError::of(SETTING)(of_redis(&error).into())),
            Err(_) => format!("no answer within {PROBE:?}"),
        };
        tracing::warn!(setting = SETTING, error = why, "not there yet, going on without it");
        Ok(())
    }

    /// Starts to look after it: the check `cache`, and making up for what could not be written while a server was away.
    pub fn watch(&self, process: &Process) {
        let Self::Redis(cache) = self else { return };
        let Process { health, tasks, stops, .. } = process;
        let (kept_up, stop) = (cache.clone(), stops.watchers.clone());
        tasks.spawn("cache", async move {
            stop.run_until_cancelled(kept_up.keep_up()).await;
        });
        let (cache, check, stop) = (cache.clone(), health.register("cache"), stops.watchers.clone());
        let look = move || check.set(status::cache(cache.is_available()));
        // At once: a check fails until it has spoken, and no process waits for its cache.
        look();
        tasks.spawn("cache health", async move {
            while tokio::time::timeout(LOOK, stop.cancelled()).await.is_err() {
                look();
            }
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
