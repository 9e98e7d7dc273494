//! The mailer: a handler whose effect happens once, however often its message comes.

use sqlx::sqlite::SqlitePool;
use tbx_bus::MessageId;
use tbx_bus::consumer::{Failure, Incoming};
use tbx_store::sqlite::SqliteInbox;
use tokio::sync::mpsc;

use crate::BoxError;

/// Writes a mail for each order.
#[derive(Clone)]
pub(crate) struct Mailer {
    pub(crate) pool: SqlitePool,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// What the mailer did with one delivery.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) message: MessageId,
    pub(crate) text: String,
    pub(crate) is_new: bool,
}

impl Mailer {
    pub(crate) async fn handle(self, incoming: Incoming) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(incoming.message.body()).into_owned();
        let message = incoming.message.id().clone();
        // A database that fails is no fault of the message, which waits until it is back.
        let is_new = self.write_once(&message, &text).await.map_err(Failure::unavailable)?;
        // Nobody has to listen.
        let _ = self.reports.send(Report { message, text, is_new }).await;
        Ok(())
    }

    /// The effect and the memory of it in one transaction: a message that comes again finds itself in the inbox.
    async fn write_once(&self, message: &MessageId, text: &str) -> Result<bool, BoxError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let is_new = SqliteInbox::new("mailer").first_time(&mut transaction, message).await?;
        if is_new {
            sqlx::query("INSERT INTO mails (text) VALUES (?)").bind(text).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(is_new)
    }
}
