//! Counting, at a price that does not grow with the backlog.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::PgOutbox;
use crate::StoreError;
use crate::outbox::OutboxStats;
use crate::postgres::{store_error, within};

/// Up to here rows are counted; beyond, an estimate is the answer.
const EXACT: i64 = 10_000;

impl PgOutbox {
    pub(super) async fn count(&self) -> Result<OutboxStats, StoreError> {
        let handed = self.hold().under_way().len() as u64;
        let row = within("counting the outbox", async {
            sqlx::query(
                // Of the table: how dense it was when the server last looked times its size now, but no more than ids were given from the oldest on.
                "SELECT (SELECT count(*) FROM (SELECT FROM tbx_outbox LIMIT $1) counted), \
                        (SELECT count(*) FROM (SELECT FROM tbx_dead_letters LIMIT $1) counted), \
                        first.created_at, \
                        least( \
                            last.id - first.id + 1, \
                            (SELECT (c.reltuples / nullif(c.relpages, 0) * pg_relation_size(c.oid) \
                                     / current_setting('block_size')::int)::bigint \
                             FROM pg_class c WHERE c.oid = 'tbx_outbox'::regclass AND c.reltuples > 0) \
                        ), \
                        (SELECT reltuples::bigint FROM pg_class WHERE oid = 'tbx_dead_letters'::regclass) \
                 FROM (SELECT) one \
                 LEFT JOIN LATERAL ( \
                     SELECT id, least(greatest(o.created_at, '0001-01-01Z'), '9999-12-31Z') AS created_at \
                     FROM tbx_outbox o ORDER BY o.created_at LIMIT 1 \
                 ) first ON true \
                 LEFT JOIN LATERAL (SELECT id FROM tbx_outbox ORDER BY created_at DESC LIMIT 1) last ON true",
            )
            .bind(EXACT)
            .fetch_one(&self.shared.pool)
            .await
            .map_err(|error| store_error("counting the outbox", error))
        })
        .await?;
        let count = |counted: usize, estimated: usize| {
            let (counted, estimated): (i64, Option<i64>) = (row.get(counted), row.get(estimated));
            let best = if counted < EXACT { counted } else { estimated.unwrap_or_default().max(EXACT) };
            u64::try_from(best).unwrap_or_default()
        };
        let oldest: Option<DateTime<Utc>> = row.get(2);
        Ok(OutboxStats { pending: count(0, 3).saturating_sub(handed), handed, dead: count(1, 4), oldest })
    }
}
