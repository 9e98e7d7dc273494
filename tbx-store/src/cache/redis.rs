//! The tier in Redis.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use redis::aio::ConnectionManager;
use tokio::time::MissedTickBehavior;

use super::line::Line;
use super::owed::{Debt, Owed};
use super::{Cache, CacheError, CacheVersion, Cached, address, wire};
use crate::StoreError;

/// How long one call may take in all, unless set.
const TIMEOUT: Duration = Duration::from_millis(250);
/// How often a sign of life is asked for.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);
/// How long an entry stays after it was written, up to a tenth more.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);

/// A cache in Redis, shared by processes. A clone is the same cache.
///
/// Redis may be slow, full or gone: a call costs at most 250 ms then, unless [set otherwise](Self::with_timeout), and after a failure only one caller
/// a second tries again, while all others are told at once that the cache is not available. It comes back by itself.
///
/// Entries stay for an hour after they were written.
///
/// # What could not be written
///
/// Of what a process could not put, key and version are remembered, and everything older is expelled before anything else is asked; when that is too
/// much, a new *generation* begins, and no entry of an earlier one is read any more, by anybody. A process begins with that, too, because nobody knows what an earlier one has left undone. So whoever could
/// not put an entry reads no older one afterwards. Other processes may, until the one that failed has reached Redis: [`keep_up`](Self::keep_up)
/// sees to that within moments, and a process that was cut off itself reads nothing for 3 s after it.
///
/// For `rediss://` a process installs a crypto provider first, once: `rustls::crypto::ring::default_provider().install_default()`. Trusted are the authorities of
/// the system, or those in the PEM file that the parameter `cacertfile` names: `rediss://host?cacertfile=FILE`.
#[derive(Clone)]
pub struct RedisCache {
    shared: Arc<Shared>,
}

struct Shared {
    line: Line,
    prefix: String,
    put: Script,
    expel: Script,
    /// Locked for the length of a look or a note, never across an await.
    owed: Mutex<Owed>,
    /// Whoever makes up for what is owed; one at a time, for a generation that begins twice would lose what was put in between.
    turn: tokio::sync::Mutex<()>,
}

impl RedisCache {
    /// The cache at `url`, such as `redis://user:password@host:6379/0`; every key begins with `prefix`. Connects when it is first used.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::StoreErrorKind::Invalid) when it is no such address, or asks for TLS and no crypto provider is installed, or its file of
    /// certificates cannot be used.
    pub fn new(url: &str, prefix: &str) -> Result<Self, StoreError> {
        Self::with_timeout(url, prefix, TIMEOUT)
    }

    /// As [`new`](Self::new), with how long one call may take in all; the same in all processes. A longer time bears with a slower Redis; whoever
    /// asks waits longer for one that hangs, and after an outage nothing is read for twice as much longer.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_timeout(url: &str, prefix: &str, timeout: Duration) -> Result<Self, StoreError> {
        let shared = Shared {
            line: Line::new(address::client(url)?, timeout),
            prefix: prefix.to_owned(),
            put: Script::new(wire::PUT),
            expel: Script::new(wire::EXPEL),
            owed: Mutex::new(Owed::everything()),
            turn: tokio::sync::Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether the last call was answered; true before the first. For health checks, with [`ping`](Self::ping).
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared.line.is_available()
    }

    /// Asks Redis for a sign of life, after making up for what could not be written.
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

    /// Makes up for what could not be written as soon as Redis answers, also when nobody asks for anything, and notices outages when nobody does. Each
    /// process runs it once, for as long as it uses the cache.
    ///
    /// # Cancel safety
    ///
    /// Never ends by itself; drop it to stop.
    pub async fn keep_up(&self) {
        let mut ticks = tokio::time::interval(SIGN_OF_LIFE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // That the cache went, and that it is back, is told already.
            let _ = self.ping().await;
        }
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.shared.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, key: &str) -> String {
        format!("{}entry:{key}", self.shared.prefix)
    }

    fn generation(&self) -> String {
        format!("{}generation", self.shared.prefix)
    }

    /// Asks, unless that failed a moment ago.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut ConnectionManager) -> Result<T, redis::RedisError>,
    ) -> Result<T, CacheError> {
        let line = &self.shared.line;
        let mut manager = line.enter()?;
        let answer = async {
            self.make_up(&mut manager).await?;
            question(&mut manager).await
        };
        match tokio::time::timeout(line.timeout(), answer).await {
            Ok(Ok(answer)) => {
                line.answered();
                Ok(answer)
            }
            Ok(Err(error)) => Err(line.failed(match address::remedy(&error) {
                Some(remedy) => format!("{remedy}: {error}").into(),
                None => error.into(),
            })),
            Err(elapsed) => Err(line.failed(elapsed.into())),
        }
    }

    /// Pays what is owed; nothing is read before.
    async fn make_up(&self, manager: &mut ConnectionManager) -> Result<(), redis::RedisError> {
        if self.owed().is_nothing() {
            return Ok(());
        }
        let _turn = self.shared.turn.lock().await;
        loop {
            let Some((debt, additions)) = self.owed().due() else { return Ok(()) };
            match debt {
                Debt::Everything => {
                    // Whoever puts next begins another.
                    redis::cmd("DEL").arg(self.generation()).query_async::<()>(manager).await?;
                    tracing::debug!(cache = self.shared.line.place(), "cache begins a new generation");
                }
                Debt::Keys(keys) => {
                    let mut expelling = self.shared.expel.arg(time_to_live());
                    for (key, version) in &keys {
                        expelling.key(self.key(key)).arg(wire::mark(*version));
                    }
                    expelling.invoke_async::<()>(manager).await?;
                }
            }
            self.owed().paid(additions);
        }
    }
}

/// A put that may not have been carried out. Dropped before it is known to be, it is owed.
struct Unwritten<'a> {
    cache: &'a RedisCache,
    key: &'a str,
    version: CacheVersion,
    done: bool,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.cache.owed().add(self.key, self.version);
        }
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Cached>, CacheError> {
        if self.shared.line.is_convalescent() {
            return Ok(None);
        }
        let keys = [self.generation(), self.key(key)];
        let (generation, stored): (Option<Vec<u8>>, Option<Vec<u8>>) =
            self.ask(async |manager| redis::cmd("MGET").arg(&keys).query_async(manager).await).await?;
        // The call itself may have been the first that was answered.
        if self.shared.line.is_convalescent() {
            return Ok(None);
        }
        Ok(generation.zip(stored).and_then(|(generation, stored)| wire::decode(stored, &generation)))
    }

    async fn put(&self, key: &str, entry: Cached) -> Result<bool, CacheError> {
        let mut unwritten = Unwritten { cache: self, key, version: entry.version, done: false };
        let mut invocation = self.shared.put.key(self.generation());
        invocation.key(self.key(key)).arg(time_to_live()).arg(wire::generation());
        invocation.arg(wire::version(entry.version)).arg(wire::rest(&entry));
        let stored = self.ask(async |manager| invocation.invoke_async(manager).await).await?;
        unwritten.done = true;
        Ok(stored)
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
            .field("place", &self.shared.line.place())
            .field("prefix", &self.shared.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        let cache = RedisCache::new("redis://user:s3cret@localhost:1/0", "p:").unwrap();
        assert!(!format!("{cache:?}").contains("s3cret"));
        let error = RedisCache::new("redis://user:s3cret@host:notaport/", "p:").unwrap_err();
        let told = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(!told.contains("s3cret"), "{told}");
    }
}
