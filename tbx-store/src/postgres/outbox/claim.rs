//! Claiming what may be handed over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::PgOutbox;
use super::hold::Cursor;
use crate::outbox::OutboxEntry;
use crate::postgres::{store_error, within};
use crate::record::{self, Columns};
use crate::{StoreError, StoreErrorKind};

/// How many more keys are looked at than messages are wanted. What is under way or behind is passed over at this rate; the next look goes on from there,
/// so that each one is short, and what is finished meanwhile is settled between them.
const SLACK: usize = 32;
/// The most keys that one look takes in.
const MOST: usize = 4_096;
/// How long the first look waits for the lease.
const FIRST_LEASE: Duration = Duration::from_secs(5);

/// An owner's messages on one channel.
#[derive(Debug)]
struct Lane {
    owner: Uuid,
    channel: Arc<str>,
    wanted: usize,
    from: Cursor,
}

/// How far a look came in one half of a lane: among keys, or among messages without.
#[derive(Debug, Clone, Default)]
struct Reach {
    looked_at: usize,
    last_key: String,
    last_id: i64,
}

impl PgOutbox {
    pub(super) async fn claim(
        &self,
        wanted: &[(&str, usize)],
        now: DateTime<Utc>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let (lanes, under_way, holder, look) = {
            let mut hold = self.hold();
            if !hold.is_valid() {
                let error =
                    StoreError::new(StoreErrorKind::Unavailable, "the lease of the relay is not renewed");
                return Err(error);
            }
            let lanes: Vec<Lane> = wanted
                .iter()
                .filter(|(_, wanted)| *wanted > 0)
                .map(|(channel, wanted)| (Arc::<str>::from(*channel), *wanted))
                .flat_map(|(channel, wanted)| {
                    let lane = |owner| (owner, Arc::clone(&channel), wanted);
                    hold.open_estates().into_iter().map(lane).collect::<Vec<_>>()
                })
                .map(|(owner, channel, wanted)| {
                    let from = hold.cursor(owner, &channel);
                    Lane { owner, channel, wanted, from }
                })
                .collect();
            if lanes.is_empty() {
                return Ok(Vec::new());
            }
            (lanes, hold.under_way(), hold.holder(), hold.look())
        };
        let mut connection = self.shared.work.take().await?;
        let (entries, found_all) =
            within("claiming messages", self.claim_on(&mut connection, holder, &lanes, under_way, now))
                .await?;
        self.shared.work.give_back(connection).await;
        let looked_everywhere = wanted.iter().all(|(_, wanted)| *wanted > 0);
        self.hold().looked(look, found_all && looked_everywhere);
        Ok(entries)
    }

    /// What may be handed over, and whether there is nothing else but what waits for that, or for what is under way.
    async fn claim_on(
        &self,
        connection: &mut PgConnection,
        holder: Uuid,
        lanes: &[Lane],
        under_way: Vec<i64>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<OutboxEntry>, bool), StoreError> {
        let budget = |lane: &Lane| (lane.wanted + SLACK).min(MOST);
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let rows = sqlx::query(include_str!("claim.sql"))
            .bind(holder)
            .bind(lanes.iter().map(|lane| lane.owner).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| lane.channel.to_string()).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| lane.from.key.clone()).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| lane.from.id).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| signed(lane.wanted)).collect::<Vec<_>>())
            .bind(lanes.iter().map(|lane| signed(budget(lane))).collect::<Vec<_>>())
            .bind(&under_way)
            .bind(seconds_from_now(now))
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| store_error("claiming messages", error))?;

        let mut chosen = Vec::new();
        let mut reaches: HashMap<(usize, bool), Reach> = HashMap::new();
        let mut behind = false;
        for row in &rows {
            let lane: i64 = row.get(0);
            let Some(lane) = usize::try_from(lane).ok().and_then(|lane| lane.checked_sub(1)) else {
                continue;
            };
            let looked_at: Option<i64> = row.get(10);
            let Some(looked_at) = looked_at else {
                chosen.push((lane, row));
                continue;
            };
            behind |= row.get::<bool, _>(11);
            let reach = Reach {
                looked_at: usize::try_from(looked_at).unwrap_or_default(),
                last_key: row.get(3),
                last_id: row.get(2),
            };
            reaches.insert((lane, row.get(1)), reach);
        }
        let came_to_the_end = self.move_cursors(lanes, &chosen, &reaches, behind, budget);
        let found = chosen.len();
        let entries = self.take_up(connection, lanes, chosen).await?;
        let found_all = came_to_the_end && !behind && entries.len() == found;
        Ok((entries, found_all))
    }

    /// Where each lane goes on next time; wakes the relay when there may be more right away. Whether each lane was gone through from its beginning to its end.
    fn move_cursors(
        &self,
        lanes: &[Lane],
        chosen: &[(usize, &PgRow)],
        reaches: &HashMap<(usize, bool), Reach>,
        behind: bool,
        budget: impl Fn(&Lane) -> usize,
    ) -> bool {
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for (lane, _) in chosen {
            *taken.entry(&*lanes[*lane].channel).or_default() += 1;
        }
        let (mut more, mut all_ended) = (false, true);
        let mut hold = self.hold();
        for (number, lane) in lanes.iter().enumerate() {
            let filled = taken.get(&*lane.channel).is_some_and(|taken| *taken >= lane.wanted);
            let mut cursor = lane.from.clone();
            let began_within = !lane.from.key.is_empty() || lane.from.id != 0;
            all_ended &= !filled && !began_within;
            if filled {
                // What was found beyond is found again.
                for (_, row) in chosen.iter().filter(|(lane, _)| *lane == number) {
                    if row.get::<bool, _>(1) {
                        cursor.key = cursor.key.max(row.get(3));
                    } else {
                        cursor.id = cursor.id.max(row.get(2));
                    }
                }
                cursor.again = false;
            } else {
                let of = |keyed| reaches.get(&(number, keyed)).cloned().unwrap_or_default();
                let (keyed, plain) = (of(true), of(false));
                let unfinished = keyed.looked_at >= budget(lane) || plain.looked_at >= budget(lane);
                let ended = |reach: &Reach| reach.looked_at < budget(lane);
                cursor = Cursor {
                    key: if ended(&keyed) { String::new() } else { keyed.last_key },
                    id: if ended(&plain) { 0 } else { plain.last_id },
                    again: lane.from.again || (!unfinished && began_within),
                };
                more |= unfinished || (began_within && !lane.from.again);
                if !unfinished && lane.from.again {
                    cursor.again = false;
                }
            }
            hold.set_cursor(lane.owner, &lane.channel, cursor);
        }
        hold.set_waits_for_others(behind);
        drop(hold);
        if more {
            self.shared.appended.notify_one();
        }
        all_ended && !more
    }

    /// Makes entries of rows and notes them as under way. That comes last: what is noted is handed over, or nobody would ever look at it again.
    async fn take_up(
        &self,
        connection: &mut PgConnection,
        lanes: &[Lane],
        chosen: Vec<(usize, &PgRow)>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut found = Vec::with_capacity(chosen.len());
        for (lane, row) in chosen {
            let lane = &lanes[lane];
            match entry(row, 2, Arc::clone(&lane.channel)) {
                Ok(entry) => found.push((lane.owner, entry)),
                Err(error) => self.give_up(connection, &lane.channel, row, &error).await?,
            }
        }
        found.retain(|(_, entry)| self.hold().is_free(entry));
        self.count_attempts(connection, &found).await?;
        Ok(self.start(found))
    }

    /// Notes messages as under way, and leaves out those that were lost or overtaken meanwhile.
    fn start(&self, found: Vec<(Uuid, OutboxEntry)>) -> Vec<OutboxEntry> {
        let mut hold = self.hold();
        let mut entries: Vec<_> = found
            .into_iter()
            .filter(|(owner, entry)| hold.start(*owner, entry))
            .map(|(_, entry)| entry)
            .collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        entries
    }

    async fn give_up(
        &self,
        connection: &mut PgConnection,
        channel: &str,
        row: &PgRow,
        error: &StoreError,
    ) -> Result<(), StoreError> {
        let (id, message_id): (i64, String) = (row.get("id"), row.get("message_id"));
        tracing::error!(id, %error, cause = error.source_text(), "stored message cannot be read, giving it up");
        self.bury_row(connection, channel, &message_id, error).await
    }

    /// Where messages are handled in this process, any of them may end it: the attempt is stored before the message is handed over.
    async fn count_attempts(
        &self,
        connection: &mut PgConnection,
        found: &[(Uuid, OutboxEntry)],
    ) -> Result<(), StoreError> {
        let counted: Vec<&OutboxEntry> = {
            let hold = self.hold();
            found.iter().map(|(_, entry)| entry).filter(|entry| hold.counts(&entry.channel)).collect()
        };
        if counted.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE tbx_outbox o SET attempts = o.attempts + 1 FROM unnest($1::text[], $2::text[]) AS c (channel, message_id) \
             WHERE o.channel = c.channel AND o.message_id = c.message_id",
        )
        .bind(counted.iter().map(|entry| entry.channel.to_string()).collect::<Vec<_>>())
        .bind(counted.iter().map(|entry| entry.message.id().to_string()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map_err(|error| store_error("counting attempts", error))?;
        Ok(())
    }

    /// Messages of estates taken over from the dead that were counted as handed over.
    pub(super) async fn charged(&self, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut leased = self.shared.leased.subscribe();
        if tokio::time::timeout(FIRST_LEASE, leased.wait_for(|leased| *leased)).await.is_err() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the relay has no lease yet"));
        }
        let owners = self.hold().deserted();
        if owners.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.shared.work.take().await?;
        let found = within("looking for messages under way", async {
            let rows = sqlx::query(
                "SELECT o.id, o.ordering_key, o.message_id, o.topic, o.headers, o.body, \
                        least(greatest(o.created_at, '0001-01-01Z'), '9999-12-31Z'), o.attempts, o.channel, o.owner \
                 FROM unnest($1::uuid[]) AS d (owner) CROSS JOIN LATERAL ( \
                     SELECT * FROM tbx_outbox o WHERE o.owner = d.owner AND o.attempts > 0 ORDER BY o.owner, o.id LIMIT $2 \
                 ) o",
            )
            .bind(&owners)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut connection)
            .await
            .map_err(|error| store_error("looking for messages under way", error))?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let channel: String = row.get(8);
                match entry(row, 0, channel.as_str().into()) {
                    Ok(mut entry) => {
                        // Counted when it was handed over, and not now.
                        entry.attempts -= 1;
                        found.push((row.get(9), entry));
                    }
                    Err(error) => self.give_up(&mut connection, &channel, row, &error).await?,
                }
            }
            Ok(found)
        })
        .await?;
        self.shared.work.give_back(connection).await;
        let entries = self.start(found);
        self.hold().looked_at(&owners);
        self.wake();
        Ok(entries)
    }
}

/// How far a time is from now. The server adds it to its own clock, which is the one that all relays agree on.
pub(super) fn seconds_from_now(time: DateTime<Utc>) -> f64 {
    (time - Utc::now()).as_seconds_f64()
}

/// The entry of a row whose columns begin at `first`.
fn entry(row: &PgRow, first: usize, channel: Arc<str>) -> Result<OutboxEntry, StoreError> {
    let id: i64 = row.get(first);
    let attempts: i32 = row.get(first + 7);
    let message = record::message_of(
        id,
        Columns {
            key: row.get(first + 1),
            message_id: row.get(first + 2),
            topic: row.get(first + 3),
            headers: row.get(first + 4),
            body: row.get(first + 5),
            created_at: row.get(first + 6),
        },
    )?;
    Ok(OutboxEntry { id, channel, message, attempts: u32::try_from(attempts).unwrap_or_default() + 1 })
}
