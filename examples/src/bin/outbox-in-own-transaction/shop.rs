//! The shop: a domain with its own tables, which writes an order and the event that tells of it in one transaction.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tbx_bus::{Message, Topic};
use tbx_store::sqlite::{SqliteOutbox, migrate};

use crate::BoxError;

/// Which bus the events go to, as the relay's route calls it.
pub(crate) const CHANNEL: &str = "orders";

/// A real shop would use migrations, which do not disturb those of `tbx-store`.
const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, pieces INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS mails (text TEXT NOT NULL);
";

/// The domain. It tells the outbox what happened and does not know who listens.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) pool: SqlitePool,
    pub(crate) outbox: SqliteOutbox,
}

impl Shop {
    pub(crate) async fn open(file: &Path) -> Result<Self, BoxError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(Duration::from_secs(5))
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a power cut, because its event may already be with others.
            .synchronous(SqliteSynchronous::Full);
        // One connection: writers queue fairly instead of polling for SQLite's lock. That no other process opens the file is the shop's own
        // business; `tbx_store::sqlite::Database` would see to it.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        migrate(&pool).await?;
        sqlx::raw_sql(OWN_TABLES).execute(&pool).await?;
        Ok(Self { outbox: SqliteOutbox::new(pool.clone()), pool })
    }

    pub(crate) async fn restock(&self, item: &str, pieces: i64) -> Result<(), BoxError> {
        sqlx::query("INSERT INTO stock VALUES (?, ?) ON CONFLICT DO UPDATE SET pieces = excluded.pieces")
            .bind(item)
            .bind(pieces)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Takes an order and returns its number, or refuses it.
    pub(crate) async fn place_order(&self, item: &str) -> Result<i64, BoxError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let number: i64 = sqlx::query_scalar("INSERT INTO orders (item) VALUES (?) RETURNING number")
            .bind(item)
            .fetch_one(&mut *transaction)
            .await?;
        let body = serde_json::json!({ "number": number, "item": item }).to_string();
        let event = Message::new(Topic::new("order.placed")?, "OrderPlaced", body)
            .with_source("/shop")
            .with_key(&format!("order-{number}"))?;
        self.outbox.append(&mut transaction, CHANNEL, &event).await?;

        // Looked at last to show that it is not too late: returning drops the transaction, and with it the row and the event.
        let taken = sqlx::query("UPDATE stock SET pieces = pieces - 1 WHERE item = ? AND pieces > 0")
            .bind(item)
            .execute(&mut *transaction)
            .await?;
        if taken.rows_affected() == 0 {
            return Err(format!("no {item} left").into());
        }
        transaction.commit().await?;
        // Only saves the relay its next sweep: dying here loses nothing.
        self.outbox.wake();
        Ok(number)
    }
}
