//! Following the stream: one task, on a connection of its own, through any outage.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tbx_bus::Backoff;
use tokio_util::sync::CancellationToken;

use super::super::contract::HistoryError;
use super::Shared;
use super::error::failed;
use super::facts::RedisFacts;
use super::link::{Link, Session};
use super::scripts::{self, Scripts, TRIM_BATCH};
use super::standing::{Found, Verdict, judge};
use super::wire;

/// How long a read waits for news. After it, what others have trimmed is known too, and a loss is noticed.
const BLOCK: Duration = Duration::from_secs(1);
/// The most entries read at once.
const BATCH: usize = 128;
/// How often age is looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before connecting again.
const RECONNECT: Backoff = Backoff::between(Duration::from_millis(50), Duration::from_secs(5));

/// Follows the stream until told to stop.
pub(super) async fn follow(shared: Arc<Shared>, mut first: Option<Opened>, stop: CancellationToken) {
    let mut failures = 0;
    loop {
        let mut was_connected = false;
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = session(&shared, first.take(), &mut was_connected) => ended,
        };
        failures = if was_connected { 1 } else { failures + 1 };
        if shared.link.away(&ended.to_string()) {
            tracing::warn!(error = %ended, cause = ?std::error::Error::source(&ended), "redis is away, connecting again");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RECONNECT.delay(failures)) => {}
        }
    }
}

/// The two connections of a session.
pub(super) struct Opened {
    pub(super) commands: MultiplexedConnection,
    pub(super) tail: MultiplexedConnection,
}

impl Opened {
    pub(super) async fn connect(link: &Link, scripts: &Scripts) -> Result<Self, HistoryError> {
        let mut commands = link.connect(Duration::ZERO).await?;
        // Another server may stand there now, such as one that was the primary and is a replica.
        RedisFacts::read(&mut commands).await?.refuse_unusable()?;
        let tail = link.connect(BLOCK).await?;
        let loaded = scripts.load(&mut commands).await;
        loaded.map_err(|error| failed("loading its scripts", &error))?;
        Ok(Self { commands, tail })
    }
}

/// One life of the connections. Returns why it ended.
async fn session(shared: &Shared, first: Option<Opened>, was_connected: &mut bool) -> HistoryError {
    let opened = match first {
        Some(opened) => Ok(opened),
        None => Opened::connect(&shared.link, &shared.scripts).await,
    };
    let Opened { commands, mut tail } = match opened {
        Ok(opened) => opened,
        Err(error) => return error,
    };
    // Before anything is read: what came while nobody looked may be another history.
    if let Err(error) = shared.reconcile(&mut tail).await {
        return error;
    }
    let session = Session { connection: commands, broken: CancellationToken::new() };
    let broken = session.broken.clone();
    shared.link.connected(session);
    *was_connected = true;
    tracing::debug!("following the stream");
    let following = async {
        loop {
            if let Err(error) = read_on(shared, &mut tail).await {
                return error;
            }
        }
    };
    tokio::select! {
        error = following => error,
        () = broken.cancelled() => HistoryError::new("a command found its connection broken"),
    }
}

/// Takes what follows, or waits a while for it.
pub(super) async fn read_on(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
) -> Result<(), HistoryError> {
    let (epoch, seen) = {
        let log = shared.lock();
        (log.bounds().epoch, log.newest())
    };
    let keys = shared.scripts.keys();
    let mut pipeline = redis::pipe();
    pipeline
        .cmd("XREAD")
        .arg("COUNT")
        .arg(BATCH)
        .arg("BLOCK")
        .arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX))
        .arg("STREAMS")
        .arg(&keys.stream)
        .arg(format!("{}-0", seen.offset));
    // After the entries: what is still the same then was the same for all of them.
    shared.scripts.look_next(&mut pipeline, &seen);
    let answer: Result<Vec<Value>, _> = pipeline.query_async(connection).await;
    let mut answer = answer.map_err(|error| failed("reading on", &error))?.into_iter();
    let entries = wire::read(answer.next().unwrap_or(Value::Nil))?;
    let found = Found::read(answer.next().unwrap_or(Value::Nil))?;
    let is_same = judge(found.as_ref(), &shared.lock()) == Verdict::Same;
    let Some(Found { oldest, forgotten, .. }) = found.filter(|found| is_same && found.epoch == epoch) else {
        return shared.reconcile(connection).await;
    };
    let (mut trimmed, mut forgotten) = (Vec::new(), forgotten);
    if entries.first().map_or(oldest, |first| first.offset) > seen.offset + 1 {
        let mut pipeline = redis::pipe();
        pipeline.cmd("ZRANGEBYSCORE").arg(&keys.trimmed).arg(format!("({}", seen.offset));
        pipeline.arg("+inf").arg("WITHSCORES");
        // After the topics: those that were forgotten meanwhile are counted here.
        pipeline.cmd("HMGET").arg(&keys.meta).arg(&STATE);
        let answer: Result<Vec<Value>, _> = pipeline.query_async(connection).await;
        let mut answer = answer.map_err(|error| failed("reading what was trimmed", &error))?.into_iter();
        trimmed = wire::scores(answer.next().unwrap_or(Value::Nil))?;
        match scripts::state(answer.next().unwrap_or(Value::Nil))? {
            Some((present, _, _, through)) if present == epoch => forgotten = through,
            _ => return shared.reconcile(connection).await,
        }
    }
    shared.take(epoch, entries, &trimmed, oldest, forgotten);
    Ok(())
}

/// The fields of the state that are read.
pub(super) const STATE: [&str; 4] = ["epoch", "newest", "oldest", "forgotten"];

/// Trims what is too old or too much, until told to stop. Each notifier does; it does no harm.
pub(super) async fn keep_trimming(shared: Arc<Shared>, stop: CancellationToken) {
    let mut failed_before = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // Spread, so that several notifiers do not all trim at once.
            () = tokio::time::sleep(TRIM_INTERVAL.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
        }
        while let Some(session) = shared.link.session() {
            let trimmed = tokio::select! {
                () = stop.cancelled() => return,
                trimmed = shared.trim(&session) => trimmed,
            };
            match trimmed {
                Ok(true) => {}
                Ok(false) => {
                    failed_before = false;
                    break;
                }
                Err(error) => {
                    if !failed_before {
                        tracing::warn!(%error, cause = ?std::error::Error::source(&error), "history not trimmed, trying again");
                    }
                    failed_before = true;
                    break;
                }
            }
        }
    }
}

/// Whether so many were trimmed that there may be more.
pub(super) fn may_be_more(trimmed: u64) -> bool {
    trimmed >= TRIM_BATCH
}
