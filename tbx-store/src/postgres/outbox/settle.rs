//! Settling what was handed over.

use sqlx::{Connection, PgConnection};
use tbx_bus::{Reason, ReasonKind};
use uuid::Uuid;

use super::PgOutbox;
use super::claim::seconds_from_now;
use super::hold::Claim;
use crate::outbox::{OutboxEntry, Settlement};
use crate::postgres::{PgDeadLetters, store_error, within};
use crate::{StoreError, StoreErrorKind};

/// Up to how many rows it is worth asking what waits for them: of more, something does, or there is more to claim anyway.
const FEW: usize = 16;

/// Rows to delete, a column each.
#[derive(Debug, Default)]
struct Gone {
    channels: Vec<String>,
    message_ids: Vec<String>,
    ids: Vec<i64>,
    owners: Vec<Uuid>,
    epochs: Vec<i32>,
}

impl Gone {
    fn add(&mut self, entry: &OutboxEntry, claim: &Claim) {
        self.channels.push(entry.channel.to_string());
        self.message_ids.push(entry.message.id().to_string());
        self.ids.push(entry.id);
        self.owners.push(claim.owner);
        self.epochs.push(claim.epoch);
    }
}

impl PgOutbox {
    /// Settles in one transaction; what is no longer held is left to whoever holds it now. Whether something may have waited for it here.
    pub(super) async fn settle(&self, settlements: &[Settlement]) -> Result<bool, StoreError> {
        if settlements.is_empty() {
            return Ok(true);
        }
        let mut gone = Gone::default();
        let mut special = Vec::new();
        for settlement in settlements {
            let entry = settlement.entry();
            let Some(claim) = self.hold().claim_of(entry.id) else { continue };
            match settlement {
                Settlement::Done { dead_letters, .. } if dead_letters.is_empty() => gone.add(entry, &claim),
                _ => special.push((settlement, claim)),
            }
        }
        let mut connection = self.shared.work.take().await?;
        let frees = within("settling", self.settle_on(&mut connection, &gone, &special)).await?;
        self.shared.work.give_back(connection).await;
        let mut hold = self.hold();
        for settlement in settlements {
            hold.finish(settlement.entry().id);
        }
        Ok(frees)
    }

    async fn settle_on(
        &self,
        connection: &mut PgConnection,
        gone: &Gone,
        special: &[(&Settlement, Claim)],
    ) -> Result<bool, StoreError> {
        if special.is_empty() {
            return self.delete(connection, gone).await;
        }
        let failed = |error| store_error("settling", error);
        let mut transaction = connection.begin().await.map_err(failed)?;
        for (settlement, claim) in special {
            self.settle_specially(&mut transaction, settlement, claim).await?;
        }
        self.delete(&mut transaction, gone).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Deletes in one statement, as far as the estates are still held, and notes when others have to be told. Whether something may have waited here.
    async fn delete(&self, connection: &mut PgConnection, gone: &Gone) -> Result<bool, StoreError> {
        if gone.ids.is_empty() {
            return Ok(true);
        }
        let asks = gone.ids.len() <= FEW;
        let (holder, estates) = {
            let hold = self.hold();
            (hold.holder(), hold.estates())
        };
        let (others_wait, own_waits): (bool, bool) = sqlx::query_as(include_str!("settle.sql"))
            .bind(holder)
            .bind(&gone.channels)
            .bind(&gone.message_ids)
            .bind(&gone.ids)
            .bind(&gone.owners)
            .bind(&gone.epochs)
            .bind(estates)
            .bind(asks)
            .fetch_one(connection)
            .await
            .map_err(|error| store_error("settling", error))?;
        if others_wait {
            self.shared.others.notify_one();
        }
        Ok(own_waits || others_wait || !asks)
    }

    async fn settle_specially(
        &self,
        transaction: &mut PgConnection,
        settlement: &Settlement,
        claim: &Claim,
    ) -> Result<(), StoreError> {
        let entry = settlement.entry();
        if !self.still_holds(transaction, claim).await? {
            return Ok(());
        }
        let mut gone = Gone::default();
        gone.add(entry, claim);
        match settlement {
            Settlement::Done { dead_letters, .. } => {
                for letter in dead_letters {
                    let (group, attempts) = (&letter.group, letter.attempts);
                    bury(transaction, entry, group, attempts, &letter.reason).await?;
                }
                self.delete(transaction, &gone).await.map(drop)
            }
            Settlement::GivenUp { reason, .. } => {
                bury(transaction, entry, entry.addressee(), entry.attempts, reason).await?;
                self.delete(transaction, &gone).await.map(drop)
            }
            Settlement::Later { at, counts, .. } => {
                let taken_back = i32::from(!counts && self.hold().counts(&entry.channel));
                sqlx::query(
                    "UPDATE tbx_outbox SET next_at = clock_timestamp() + make_interval(secs => $1), \
                         attempts = greatest(attempts - $2, 0) \
                     WHERE channel = $3 AND message_id = $4",
                )
                .bind(seconds_from_now(*at))
                .bind(taken_back)
                .bind(&*entry.channel)
                .bind(entry.message.id().as_str())
                .execute(transaction)
                .await
                .map_err(|error| store_error("putting a message off", error))?;
                Ok(())
            }
        }
    }

    /// Whether the estate is still held in the same epoch; if so, until the end of the transaction.
    async fn still_holds(&self, transaction: &mut PgConnection, claim: &Claim) -> Result<bool, StoreError> {
        let holder = self.hold().holder();
        let row: Option<i32> = sqlx::query_scalar(
            "SELECT 1 FROM tbx_estates WHERE owner = $1 AND holder = $2 AND epoch = $3 FOR KEY SHARE",
        )
        .bind(claim.owner)
        .bind(holder)
        .bind(claim.epoch)
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_error("settling", error))?;
        Ok(row.is_some())
    }

    /// Counts one more attempt at a message under way.
    pub(super) async fn count_attempt(&self, id: i64) -> Result<(), StoreError> {
        let Some(claim) = self.hold().claim_of(id) else {
            return Err(StoreError::new(StoreErrorKind::Unavailable, format!("message {id} was taken over")));
        };
        let mut connection = self.shared.work.take().await?;
        within("counting an attempt", async {
            // The last condition is what the index of charged messages is found by.
            sqlx::query(
                "UPDATE tbx_outbox SET attempts = attempts + 1 WHERE owner = $1 AND id = $2 AND attempts > 0",
            )
            .bind(claim.owner)
            .bind(id)
            .execute(&mut connection)
            .await
            .map_err(|error| store_error("counting an attempt", error))
        })
        .await?;
        self.shared.work.give_back(connection).await;
        Ok(())
    }

    /// Gives up a row that cannot be read, as it is, or it would hold up its key for ever.
    pub(super) async fn bury_row(
        &self,
        connection: &mut PgConnection,
        channel: &str,
        message_id: &str,
        error: &StoreError,
    ) -> Result<(), StoreError> {
        let failed = |error| store_error("giving up a message that cannot be read", error);
        sqlx::query(
            "WITH gone AS (DELETE FROM tbx_outbox WHERE channel = $1 AND message_id = $2 RETURNING *) \
             INSERT INTO tbx_dead_letters (channel, consumer, message_id, topic, headers, body, attempts, reason, detail) \
             SELECT channel, '', message_id, topic, headers, body, attempts, $3, $4 FROM gone \
             ON CONFLICT (channel, consumer, message_id) DO NOTHING",
        )
        .bind(channel)
        .bind(message_id)
        .bind(ReasonKind::Unreadable.as_str())
        .bind(error.source_text().replace('\0', "\u{fffd}"))
        .execute(connection)
        .await
        .map_err(failed)?;
        self.wake();
        Ok(())
    }
}

async fn bury(
    transaction: &mut PgConnection,
    entry: &OutboxEntry,
    group: &str,
    attempts: u32,
    reason: &Reason,
) -> Result<(), StoreError> {
    PgDeadLetters::insert(transaction, &entry.channel, group, &entry.message, attempts, reason).await
}
