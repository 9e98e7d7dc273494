//! Reading entries that are no longer in memory.

use std::sync::Arc;

use redis::Value;

use super::super::contract::HistoryError;
use super::Shared;
use super::scripts;
use super::tail::STATE;
use super::wire;
use crate::Entry;

/// How many entries are read at once.
const PAGE: usize = 256;

/// Up to `limit` entries after `after` and up to `through`. Ends early where the rest has gone, which the log knows then.
pub(super) async fn range(
    shared: &Shared,
    mut after: u64,
    through: u64,
    limit: usize,
) -> Result<Vec<Arc<Entry>>, HistoryError> {
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    while after < through && entries.len() < limit {
        let count = PAGE.min(limit - entries.len());
        let page = ask(shared, |pipeline, stream| {
            pipeline
                .cmd("XRANGE")
                .arg(stream)
                .arg(format!("({after}-0"))
                .arg(format!("{through}-0"))
                .arg("COUNT")
                .arg(count);
        })
        .await?;
        let oldest = shared.lock().bounds().oldest;
        // What is below the oldest is of a former epoch.
        let page: Vec<_> = page.into_iter().filter(|entry| entry.offset() >= oldest).collect();
        let Some(last) = page.last() else { break };
        after = last.offset();
        let is_last = page.len() < count;
        entries.extend(page);
        if is_last {
            break;
        }
    }
    Ok(entries)
}

/// The entries at these offsets, in order; those that have gone meanwhile are left out, and the log knows of it then.
pub(super) async fn at(shared: &Shared, offsets: &[u64]) -> Result<Vec<Arc<Entry>>, HistoryError> {
    ask(shared, |pipeline, stream| {
        for offset in offsets {
            let place = format!("{offset}-0");
            pipeline.cmd("XRANGE").arg(stream).arg(&place).arg(place);
        }
    })
    .await
}

/// Asks for entries, and after them for the state, so that the log knows why some are missing.
async fn ask(
    shared: &Shared,
    add: impl FnOnce(&mut redis::Pipeline, &str),
) -> Result<Vec<Arc<Entry>>, HistoryError> {
    let mut session = shared.link.wait().await?;
    let epoch = shared.lock().bounds().epoch;
    let keys = shared.scripts.keys();
    let mut pipeline = redis::pipe();
    add(&mut pipeline, &keys.stream);
    pipeline.cmd("HMGET").arg(&keys.meta).arg(&STATE);
    let answer: Result<Vec<Value>, _> = pipeline.query_async(&mut session.connection).await;
    let mut answer = answer.map_err(|error| session.failed("reading entries", &error))?;
    let state = scripts::state(answer.pop().unwrap_or(Value::Nil))?;
    let Some((_, _, oldest, forgotten)) = state.filter(|(found, ..)| *found == epoch) else {
        shared.reconcile(&mut session.connection).await?;
        return Ok(Vec::new());
    };
    shared.learn(epoch, oldest, forgotten);
    let mut entries = Vec::new();
    for part in answer {
        for stored in wire::entries(part)? {
            let position = shared.lock().position(stored.offset);
            entries.push(stored.at(position));
        }
    }
    Ok(entries)
}
