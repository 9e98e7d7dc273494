//! Reading entries from the file.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use tbx_bus::{MessageId, Topic};

use super::super::contract::HistoryError;
use super::failed;
use crate::{Entry, Epoch, EventName, Notification, Position};

/// Entries after `after` and up to `through`.
pub(super) async fn range(
    pool: &SqlitePool,
    epoch: Epoch,
    after: u64,
    through: u64,
    limit: usize,
) -> Result<Vec<Arc<Entry>>, HistoryError> {
    let rows = sqlx::query(
        "SELECT offset, message_id, topic, event, body FROM history WHERE offset > ? AND offset <= ? ORDER BY offset LIMIT ?",
    )
    .bind(number(after))
    .bind(number(through))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(|error| failed("reading entries", error))?;
    rows.iter().map(|row| entry(epoch, row)).collect()
}

/// The entries with these offsets, in order; those trimmed meanwhile are left out.
pub(super) async fn at(
    pool: &SqlitePool,
    epoch: Epoch,
    offsets: &[u64],
) -> Result<Vec<Arc<Entry>>, HistoryError> {
    let list = offsets.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let rows = sqlx::query(
        "SELECT offset, message_id, topic, event, body FROM history \
         WHERE offset IN (SELECT value FROM json_each(?)) ORDER BY offset",
    )
    .bind(format!("[{list}]"))
    .fetch_all(pool)
    .await
    .map_err(|error| failed("reading entries", error))?;
    rows.iter().map(|row| entry(epoch, row)).collect()
}

/// Whether the file can be read.
pub(super) async fn probe(pool: &SqlitePool) -> Result<(), HistoryError> {
    let one: Result<i64, _> = sqlx::query_scalar("SELECT 1").fetch_one(pool).await;
    one.map(drop).map_err(|error| failed("reading", error))
}

fn entry(epoch: Epoch, row: &SqliteRow) -> Result<Arc<Entry>, HistoryError> {
    let offset: i64 = row.get(0);
    let corrupt = |error: Box<dyn std::error::Error + Send + Sync>| {
        HistoryError::new(format!("stored entry {offset}")).with_source(error)
    };
    let id = MessageId::new(row.get(1)).map_err(|error| corrupt(error.into()))?;
    let topic = Topic::new(row.get(2)).map_err(|error| corrupt(error.into()))?;
    let event = EventName::new(row.get(3)).map_err(|error| corrupt(error.into()))?;
    let body: Vec<u8> = row.get(4);
    let notification = Notification::new(id, topic, event, body).map_err(|error| corrupt(error.into()))?;
    let position = Position::new(epoch, u64::try_from(offset).map_err(|error| corrupt(error.into()))?);
    Ok(Arc::new(Entry::new(position, notification)))
}

fn number(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
