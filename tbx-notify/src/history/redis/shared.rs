//! What the parts of a history share.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use redis::aio::MultiplexedConnection;
use tbx_bus::Topic;
use tokio::sync::watch;

use super::super::contract::{Bounds, HistoryError};
use super::error::contested;
use super::link::{Link, Session};
use super::log::{Log, Newest};
use super::scripts::Scripts;
use super::standing::{Verdict, judge};
use super::tail;
use super::wire::Stored;
use crate::Epoch;

/// How often it is tried to agree with other processes on a new epoch, each time after one of them was faster.
const ROUNDS: usize = 50;

/// A clock of tests.
pub(super) type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) scripts: Scripts,
    /// The time, where it is not that of the server.
    clock: Option<Clock>,
    /// Held for single steps, never across an await.
    log: Mutex<Log>,
    /// One at a time finds out how it stands.
    reconciling: tokio::sync::Mutex<()>,
    pub(super) newest: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(link: Link, scripts: Scripts, clock: Option<Clock>, log: Log) -> Self {
        let newest = watch::Sender::new(log.bounds().newest);
        Self { link, scripts, clock, log: Mutex::new(log), reconciling: tokio::sync::Mutex::new(()), newest }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Option<SystemTime> {
        self.clock.as_ref().map(|clock| clock())
    }

    /// Takes what was read from the stream, unless the epoch has changed since.
    pub(super) fn take(
        &self,
        epoch: Epoch,
        entries: Vec<Stored>,
        trimmed: &[(Topic, u64)],
        oldest: u64,
        forgotten: u64,
    ) {
        let mut log = self.lock();
        if log.bounds().epoch != epoch {
            return;
        }
        let next = entries.first().map_or(oldest, |first| first.offset);
        if next > log.bounds().newest + 1 {
            log.skip(next - 1, trimmed);
            if oldest < next {
                // Nobody has trimmed what is missing, so nobody knows its topics.
                log.index.forget_through(next - 1);
            }
        }
        for stored in entries {
            // What another reader of the stream has taken meanwhile is passed over.
            if stored.offset == log.bounds().newest + 1 {
                let position = log.position(stored.offset);
                log.push(stored.at(position));
            }
        }
        log.trim(oldest, forgotten);
        self.publish(log);
    }

    /// Reads on until nothing is left that was there at the beginning, or it is lost.
    pub(super) async fn catch_up(&self, connection: &mut MultiplexedConnection) -> Result<(), HistoryError> {
        let there = self.scripts.look(connection, &Newest::default()).await?.map_or(0, |found| found.newest);
        let epoch = self.lock().bounds().epoch;
        let is_behind = |bounds: Bounds| bounds.newest < there && bounds.epoch == epoch;
        while is_behind(self.lock().bounds()) {
            tail::read_on(self, connection).await?;
        }
        Ok(())
    }

    /// Takes part in what others have trimmed.
    pub(super) fn learn(&self, epoch: Epoch, oldest: u64, forgotten: u64) {
        let mut log = self.lock();
        if log.bounds().epoch == epoch {
            log.trim(oldest, forgotten);
        }
    }

    /// Makes sure that this process and Redis speak of the same history, and that every reader learns of it when they do not.
    pub(super) async fn reconcile(&self, connection: &mut MultiplexedConnection) -> Result<(), HistoryError> {
        let _one_at_a_time = self.reconciling.lock().await;
        for _ in 0..ROUNDS {
            let newest = self.lock().newest();
            let found = self.scripts.look(connection, &newest).await?;
            let renewal = {
                let mut log = self.lock();
                if log.newest() != newest {
                    // More was read meanwhile, and what was found is compared with the wrong entry.
                    continue;
                }
                match judge(found.as_ref(), &log) {
                    Verdict::Same => return Ok(()),
                    Verdict::Adopt { epoch, after } => {
                        tracing::warn!(
                            epoch = epoch.get(),
                            after,
                            is_seamless = after == newest.offset,
                            "the history has lost entries and goes on in a new epoch"
                        );
                        log.begin(epoch, after);
                        if let Some(found) = found {
                            log.trim(found.oldest, found.forgotten);
                        }
                        self.publish(log);
                        return Ok(());
                    }
                    Verdict::Renew(renewal) => renewal,
                }
            };
            // Whether this or another process began it, the next look finds it.
            self.scripts.renew(connection, &renewal).await?;
        }
        Err(contested())
    }

    /// Trims a batch. Tells whether there may be more.
    pub(super) async fn trim(&self, session: &Session) -> Result<bool, HistoryError> {
        let epoch = self.lock().bounds().epoch;
        let trimmed = self
            .scripts
            .trim(session.connection.clone(), epoch, self.now())
            .await
            .map_err(|error| session.failed("trimming", &error))?;
        let Some(trimmed) = trimmed else { return Ok(false) };
        self.learn(epoch, trimmed.oldest, trimmed.forgotten);
        Ok(tail::may_be_more(trimmed.count))
    }

    /// Tells of the newest offset, after the log has it.
    fn publish(&self, log: MutexGuard<'_, Log>) {
        let newest = log.bounds().newest;
        drop(log);
        self.newest.send_if_modified(|current| {
            let grows = newest > *current;
            *current = newest.max(*current);
            grows
        });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("log", &self.log).finish_non_exhaustive()
    }
}
