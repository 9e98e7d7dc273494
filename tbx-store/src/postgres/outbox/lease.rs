//! Keeping the lease: registering, renewing, taking over, giving back.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{FOREIGN, NOTIFICATIONS, PgOutbox};
use crate::StoreError;
use crate::postgres::{store_error, within};

/// The payload that tells of estates given back.
pub(super) const GIVEN_BACK: &str = "given back";

/// How much of a lease counts on this side, in hundredths: clocks differ in speed, if little.
const MARGIN: u32 = 90;

impl PgOutbox {
    /// One turn: what is held is renewed, what is free is taken, what is empty is dropped.
    ///
    /// What was renewed holds even if the rest fails, or takes too long, as looking through a table that cannot be cleaned up may.
    pub(super) async fn turn(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let until = asked + self.lease * MARGIN / 100;
        let (holder, own) = {
            let hold = self.hold();
            (hold.holder(), hold.own())
        };
        let mut connection = self.shared.keep.take().await?;
        let (own, mut estates) =
            within("renewing the lease", self.renew(&mut connection, holder, own)).await?;
        self.hold().renewed(own, estates.clone(), HashSet::new(), until);
        let renewed = estates.len();
        let deserted =
            within("taking free estates", self.adopt(&mut connection, holder, &mut estates)).await?;
        let has_more = estates.len() > renewed;
        self.hold().renewed(own, estates, deserted, until);
        let first = self.shared.leased.send_if_modified(|leased| !std::mem::replace(leased, true));
        if first || has_more {
            self.wake();
        }
        within("looking for strays", find_strays(&mut connection)).await?;
        within("dropping empty estates", drop_empty(&mut connection, holder, own)).await?;
        self.shared.keep.give_back(connection).await;
        Ok(())
    }

    /// Renews what is held: the estate that this relay appends to, and all others with their epochs.
    async fn renew(
        &self,
        connection: &mut PgConnection,
        holder: Uuid,
        own: Option<Uuid>,
    ) -> Result<(Uuid, HashMap<Uuid, i32>), StoreError> {
        let lease = self.lease.as_secs_f64();
        let mut estates: HashMap<Uuid, i32> = sqlx::query_as(
            "UPDATE tbx_estates SET until = clock_timestamp() + make_interval(secs => $2) WHERE holder = $1 \
             RETURNING owner, epoch",
        )
        .bind(holder)
        .bind(lease)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| store_error("renewing the lease", error))?
        .into_iter()
        .collect();
        if let Some(own) = own.filter(|own| estates.contains_key(own)) {
            return Ok((own, estates));
        }
        let fresh = Uuid::new_v4();
        let epoch = register(connection, fresh, holder, lease).await?;
        estates.insert(fresh, epoch);
        Ok((fresh, estates))
    }

    /// Takes what is free. Tells which estates were left by relays that are gone.
    async fn adopt(
        &self,
        connection: &mut PgConnection,
        holder: Uuid,
        estates: &mut HashMap<Uuid, i32>,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let failed = |error| store_error("taking free estates", error);
        let taken = sqlx::query(include_str!("adopt.sql"))
            .bind(holder)
            .bind(self.lease.as_secs_f64())
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        let mut deserted = HashSet::new();
        for row in &taken {
            let (owner, epoch, is_deserted): (Uuid, i32, bool) = (row.get(0), row.get(1), row.get(2));
            if is_deserted {
                tracing::info!(estate = %owner, epoch, "taking over messages of a relay that is gone");
                deserted.insert(owner);
            }
            estates.insert(owner, epoch);
        }
        Ok(deserted)
    }

    /// Gives everything back, so that others take it at once.
    pub(super) async fn give_back(&self) -> Result<(), StoreError> {
        let holder = self.hold().holder();
        let mut connection = self.shared.keep.take().await?;
        let failed = |error| store_error("giving back the lease", error);
        sqlx::query(
            "UPDATE tbx_estates SET holder = NULL, epoch = epoch + 1, until = 'epoch' WHERE holder = $1",
        )
        .bind(holder)
        .execute(&mut connection)
        .await
        .map_err(failed)?;
        sqlx::query(
            "DELETE FROM tbx_estates e WHERE e.holder IS NULL AND e.owner <> $1 \
                 AND NOT EXISTS (SELECT FROM tbx_outbox o WHERE o.owner = e.owner)",
        )
        .bind(FOREIGN)
        .execute(&mut connection)
        .await
        .map_err(failed)?;
        notify(&mut connection, GIVEN_BACK).await
    }

    /// Tells the other relays to look.
    pub(super) async fn tell_others(&self) -> Result<(), StoreError> {
        let holder = self.hold().holder();
        let mut connection = self.shared.keep.take().await?;
        within("telling other relays", notify(&mut connection, &holder.to_string())).await?;
        self.shared.keep.give_back(connection).await;
        Ok(())
    }

    /// How long to wait between turns.
    pub(super) fn pace(&self) -> Duration {
        self.lease / 3
    }
}

/// Makes known what estates there are rows of; the next turn takes them.
async fn find_strays(connection: &mut PgConnection) -> Result<(), StoreError> {
    let found = sqlx::query(include_str!("strays.sql")).execute(connection).await;
    found.map_err(|error| store_error("looking for strays", error))?;
    Ok(())
}

/// Drops estates taken over in which nothing is left. The next turn does not find them any more.
async fn drop_empty(connection: &mut PgConnection, holder: Uuid, own: Uuid) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM tbx_estates e WHERE e.holder = $1 AND e.owner <> $2 AND e.owner <> $3 \
             AND NOT EXISTS (SELECT FROM tbx_outbox o WHERE o.owner = e.owner)",
    )
    .bind(holder)
    .bind(own)
    .bind(FOREIGN)
    .execute(connection)
    .await
    .map_err(|error| store_error("dropping empty estates", error))?;
    Ok(())
}

async fn register(
    connection: &mut PgConnection,
    own: Uuid,
    holder: Uuid,
    lease: f64,
) -> Result<i32, StoreError> {
    sqlx::query_scalar(
        "INSERT INTO tbx_estates (owner, holder, until) VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3)) \
         RETURNING epoch",
    )
    .bind(own)
    .bind(holder)
    .bind(lease)
    .fetch_one(connection)
    .await
    .map_err(|error| store_error("registering the relay", error))
}

async fn notify(connection: &mut PgConnection, payload: &str) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(NOTIFICATIONS)
        .bind(payload)
        .execute(connection)
        .await
        .map_err(|error| store_error("telling other relays", error))?;
    Ok(())
}
