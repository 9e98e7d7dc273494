//! Learning what the history holds.

use redis::Value;
use redis::aio::MultiplexedConnection;
use tbx_bus::Topic;

use super::super::contract::HistoryError;
use super::error::{contested, failed};
use super::log::{Log, Newest};
use super::scripts::{self, Scripts};
use super::standing::{Found, Renewal};
use super::tail::STATE;
use super::wire;
use crate::Epoch;

/// How many offsets and topics are read at once; fewer when their entries are large.
const PAGE: usize = 1_000;
/// How often loading begins anew because the epoch has changed.
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
    Err(contested())
}

/// `None` when the epoch has changed.
///
/// A history that is full is trimmed with each append, so trimming is always ahead of what is being loaded: what it has taken is passed over, with its topics.
async fn try_load(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    found: &Found,
) -> Result<Option<Log>, HistoryError> {
    let mut log = Log::new(found.epoch, found.oldest);
    for (topic, through) in trimmed_after(scripts, connection, 0).await? {
        log.index.note_trimmed(&topic, through);
    }
    let through = found.newest.saturating_sub(LEFT_TO_FOLLOW);
    loop {
        let after = log.bounds().newest;
        let count = usize::try_from(through.saturating_sub(after)).unwrap_or(PAGE).min(PAGE);
        if count == 0 {
            break;
        }
        let topics = wire::topics(scripts.topics(connection, found.epoch, after, count).await?)?;
        let Some((first, _)) = topics.first() else { break };
        if *first > after + 1 {
            pass_over(scripts, connection, &mut log, *first - 1).await?;
        }
        for (offset, topic) in topics.iter().take_while(|(offset, _)| *offset <= through) {
            log.enter(*offset, topic);
        }
    }
    let Some((oldest, _)) = bounds(scripts, connection, found.epoch).await? else { return Ok(None) };
    if oldest > log.bounds().newest + 1 {
        pass_over(scripts, connection, &mut log, oldest - 1).await?;
    }
    // After the topics: those that were forgotten meanwhile are counted here.
    let Some((oldest, forgotten)) = bounds(scripts, connection, found.epoch).await? else { return Ok(None) };
    let passed_over = log.bounds().oldest;
    if oldest < passed_over {
        // Nobody has trimmed what is missing, so nobody knows its topics.
        log.index.forget_through(passed_over - 1);
    }
    log.trim(oldest, forgotten);
    Ok(Some(log))
}

/// Goes on after `offset`, which was trimmed before it was loaded.
async fn pass_over(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    log: &mut Log,
    offset: u64,
) -> Result<(), HistoryError> {
    let trimmed = trimmed_after(scripts, connection, log.bounds().newest).await?;
    log.skip(offset, &trimmed);
    Ok(())
}

/// The oldest offset, and up to which one topics are forgotten; `None` in another epoch.
async fn bounds(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    epoch: Epoch,
) -> Result<Option<(u64, u64)>, HistoryError> {
    let state: Value = redis::cmd("HMGET")
        .arg(&scripts.keys().meta)
        .arg(&STATE)
        .query_async(connection)
        .await
        .map_err(|error| failed("reading its state", &error))?;
    let state = scripts::state(state)?.filter(|(present, ..)| *present == epoch);
    Ok(state.map(|(_, _, oldest, forgotten)| (oldest, forgotten)))
}

/// The topics that were trimmed further than `after`, and how far.
async fn trimmed_after(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    mut after: u64,
) -> Result<Vec<(Topic, u64)>, HistoryError> {
    let mut trimmed = Vec::new();
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
        // Whatever is trimmed from now on comes further on, and whoever asked knows no more than what was trimmed until now.
        let is_last = page.len() < PAGE;
        if let Some((_, last)) = page.last() {
            after = *last;
        }
        trimmed.extend(page);
        if is_last {
            return Ok(trimmed);
        }
    }
}
