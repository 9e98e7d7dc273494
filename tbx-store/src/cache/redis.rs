//! The tier in Redis.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};

use super::{Cache, CacheError, CacheVersion, Cached, address};
use crate::StoreError;

/// How long one call may take in all.
const TIMEOUT: Duration = Duration::from_millis(250);
/// How long nobody asks after a failure, but one who tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an entry stays after it was written, up to a tenth more.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// Two numbers of twenty digits, which compare as texts as they do as numbers, in every locale.
const VERSION_LENGTH: usize = 40;
const VALUE: u8 = b'v';
const TOMBSTONE: u8 = b'x';

/// One step: nobody comes between looking and writing.
const PUT: &str = "\
local stored = redis.call('GETRANGE', KEYS[1], 0, 39) \
if #stored == 40 and stored >= ARGV[1] then return 0 end \
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3]) \
return 1";

/// A cache in Redis, shared by processes. A clone is the same cache.
///
/// Redis may be slow, full or gone: a call costs at most 250 ms then, and after a failure only one caller a second tries again, while all others are
/// told at once that the cache is not available. It comes back by itself.
///
/// Entries stay for an hour after they were written. What a process could not write while Redis was away may leave an older entry there for as long,
/// unless something writes it again, as the worker does for each student.
///
/// For `rediss://` a process installs a crypto provider first, once: `rustls::crypto::ring::default_provider().install_default()`. Trusted are the authorities of
/// the system, or those in the PEM file that the parameter `cacertfile` names: `rediss://host?cacertfile=FILE`.
#[derive(Clone)]
pub struct RedisCache {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    prefix: String,
    place: String,
    put: Script,
    /// Locked for the length of a look or a note, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    manager: Option<ConnectionManager>,
    /// Since when calls fail, and until when nobody asks.
    failing: Option<Failing>,
}

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    until: Instant,
}

impl RedisCache {
    /// The cache at `url`, such as `redis://user:password@host:6379/0`; every key begins with `prefix`. Connects when it is first used.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::StoreErrorKind::Invalid) when it is no such address, or asks for TLS and no crypto provider is installed, or its file of
    /// certificates cannot be used.
    pub fn new(url: &str, prefix: &str) -> Result<Self, StoreError> {
        let client = address::client(url)?;
        let place = client.get_connection_info().addr().to_string();
        let shared = Shared {
            client,
            prefix: prefix.to_owned(),
            place,
            put: Script::new(PUT),
            state: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether the last call was answered; true before the first. For health checks, with [`ping`](Self::ping).
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state().failing.is_none()
    }

    /// Asks Redis for a sign of life.
    ///
    /// # Errors
    ///
    /// When there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ping(&self) -> Result<(), CacheError> {
        self.ask(async |manager| redis::cmd("PING").query_async::<()>(manager).await).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.shared.prefix)
    }

    /// Asks, unless that failed a moment ago.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut ConnectionManager) -> Result<T, redis::RedisError>,
    ) -> Result<T, CacheError> {
        let mut manager = self.enter()?;
        match tokio::time::timeout(TIMEOUT, question(&mut manager)).await {
            Ok(Ok(answer)) => {
                self.answered();
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.failed(match address::remedy(&error) {
                Some(remedy) => format!("{remedy}: {error}").into(),
                None => error.into(),
            })),
            Err(elapsed) => Err(self.failed(elapsed.into())),
        }
    }

    fn enter(&self) -> Result<ConnectionManager, CacheError> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(failing) = &mut state.failing {
            if now < failing.until {
                return Err(CacheError("it did not answer a moment ago".into()));
            }
            // Whoever comes next finds that somebody tries already.
            failing.until = now + PAUSE;
        }
        if let Some(manager) = &state.manager {
            return Ok(manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            // Whoever comes next after the pause tries again; repetitions in here would only hide why it failed.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(PAUSE))
            .set_response_timeout(Some(TIMEOUT));
        let manager = ConnectionManager::new_lazy_with_config(self.shared.client.clone(), config)
            .map_err(|error| CacheError(error.into()))?;
        state.manager = Some(manager.clone());
        Ok(manager)
    }

    fn answered(&self) {
        let failing = self.state().failing.take();
        if let Some(failing) = failing {
            let away_ms = failing.since.elapsed().as_millis() as u64;
            tracing::info!(cache = %self.shared.place, away_ms, "cache answers again");
        }
    }

    fn failed(&self, error: Box<dyn std::error::Error + Send + Sync>) -> CacheError {
        let now = Instant::now();
        let mut state = self.state();
        let since = state.failing.map_or(now, |failing| failing.since);
        state.failing = Some(Failing { since, until: now + PAUSE });
        // A connection that hangs is not asked again.
        state.manager = None;
        drop(state);
        if since == now {
            tracing::warn!(cache = %self.shared.place, error = %error, "cache does not answer, going on without it");
        }
        CacheError(error)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Cached>, CacheError> {
        let key = self.key(key);
        let stored: Option<Vec<u8>> =
            self.ask(async |manager| redis::cmd("GET").arg(key).query_async(manager).await).await?;
        Ok(stored.and_then(decode))
    }

    async fn put(&self, key: &str, entry: Cached) -> Result<bool, CacheError> {
        let mut invocation = self.shared.put.key(self.key(key));
        let mut rest = vec![if entry.value.is_some() { VALUE } else { TOMBSTONE }];
        rest.extend_from_slice(entry.value.as_deref().unwrap_or_default());
        invocation.arg(encode(entry.version)).arg(rest).arg(time_to_live());
        self.ask(async |manager| invocation.invoke_async(manager).await).await
    }
}

fn encode(CacheVersion(first, second): CacheVersion) -> String {
    format!("{first:020}{second:020}")
}

/// The entry; what somebody else wrote counts as absent.
fn decode(stored: Vec<u8>) -> Option<Cached> {
    let (version, rest) = stored.split_at_checked(VERSION_LENGTH)?;
    let version = std::str::from_utf8(version).ok()?;
    let (first, second) = version.split_at_checked(VERSION_LENGTH / 2)?;
    let version = CacheVersion(first.parse().ok()?, second.parse().ok()?);
    match *rest.first()? {
        VALUE => Some(Cached { version, value: Some(Bytes::from(stored).slice(VERSION_LENGTH + 1..)) }),
        TOMBSTONE => Some(Cached { version, value: None }),
        _ => None,
    }
}

/// In milliseconds; spread, so that what was written together does not end together.
fn time_to_live() -> u64 {
    let base = TIME_TO_LIVE.as_millis() as u64;
    base + uuid::Uuid::new_v4().as_u128() as u64 % (base / 10)
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache")
            .field("place", &self.shared.place)
            .field("prefix", &self.shared.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_texts_as_they_do_as_numbers() {
        let versions = [(0, 0), (0, u64::MAX), (1, 0), (9, 10), (10, 9), (u64::MAX, u64::MAX)];
        let texts: Vec<_> = versions.map(|(a, b)| encode(CacheVersion(a, b))).into();
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == VERSION_LENGTH));
    }

    #[test]
    fn what_somebody_else_wrote_counts_as_absent() {
        for foreign in ["", "short", &"9".repeat(41), &"é".repeat(30), &format!("{}v", "x".repeat(40))] {
            assert_eq!(decode(foreign.as_bytes().to_vec()), None, "{foreign}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let cache = RedisCache::new("redis://user:s3cret@localhost:1/0", "p:").unwrap();
        assert!(!format!("{cache:?}").contains("s3cret"));
        let error = RedisCache::new("redis://user:s3cret@host:notaport/", "p:").unwrap_err();
        let told = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(!told.contains("s3cret"), "{told}");
    }
}
