//! Learning what the history holds.

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::super::contract::HistoryError;
use super::error::failed;
use super::log::{Log, Newest};
use super::scripts::{self, Scripts};
use super::standing::{Found, Renewal};
use super::tail::STATE;
use super::wire;

/// How many offsets and topics are read at once.
const PAGE: usize = 1_000;
/// How often loading begins anew because trimming got ahead of it.
const ATTEMPTS: usize = 20;
/// The latest entries are read whole by whoever follows the stream, so that their ids are known.
const LEFT_TO_FOLLOW: u64 = 64;

/// Begins the history when there is none, and loads what is known of it without bodies.
pub(super) async fn load(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
) -> Result<Log, HistoryError> {
    for _ in 0..ATTEMPTS {
        let found = match scripts.look(connection, &Newest::default()).await? {
            Some(found) => found,
            None => {
                scripts.renew(connection, &Renewal::first()).await?;
                continue;
            }
        };
        if let Some(log) = try_load(scripts, connection, &found).await? {
            return Ok(log);
        }
    }
    Err(HistoryError::new("it is trimmed faster than it can be loaded"))
}

/// `None` when something was trimmed that was to be loaded, or the epoch has changed.
async fn try_load(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    found: &Found,
) -> Result<Option<Log>, HistoryError> {
    let mut log = Log::new(found.epoch, found.oldest);
    load_trimmed(scripts, connection, &mut log).await?;
    let through = found.newest.saturating_sub(LEFT_TO_FOLLOW);
    loop {
        let after = log.bounds().newest;
        let count = usize::try_from(through.saturating_sub(after)).unwrap_or(PAGE).min(PAGE);
        if count == 0 {
            break;
        }
        let topics = wire::topics(scripts.topics(connection, found.epoch, after, count).await?)?;
        if topics.first().is_none_or(|(offset, _)| *offset != after + 1) {
            return Ok(None);
        }
        for (offset, topic) in &topics {
            log.enter(*offset, topic);
        }
    }
    // After the topics: those that were forgotten meanwhile are counted here.
    let state: Value = redis::cmd("HMGET")
        .arg(&scripts.keys().meta)
        .arg(&STATE)
        .query_async(connection)
        .await
        .map_err(|error| failed("reading its state", &error))?;
    match scripts::state(state)? {
        Some((epoch, _, oldest, forgotten)) if epoch == found.epoch && oldest <= log.bounds().newest + 1 => {
            log.trim(oldest, forgotten);
            Ok(Some(log))
        }
        _ => Ok(None),
    }
}

async fn load_trimmed(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    log: &mut Log,
) -> Result<(), HistoryError> {
    let mut after = 0;
    loop {
        // By score: each offset belongs to one topic, and a topic that is trimmed meanwhile comes again further on.
        let page: Value = redis::cmd("ZRANGEBYSCORE")
            .arg(&scripts.keys().trimmed)
            .arg(format!("({after}"))
            .arg("+inf")
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(PAGE)
            .query_async(connection)
            .await
            .map_err(|error| failed("reading what was trimmed", &error))?;
        let page = wire::scores(page)?;
        let Some((_, last)) = page.last() else { return Ok(()) };
        after = *last;
        for (topic, through) in &page {
            log.index.note_trimmed(topic, *through);
        }
    }
}
