//! The outbox table.

mod attend;
mod claim;
mod hold;
mod lease;
mod settle;
mod stats;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use tbx_bus::Message;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::hold::Hold;
use super::link::Link;
use super::{Database, store_error};
use crate::outbox::{OutboxEntry, OutboxStats, OutboxStore, Settlement, Tidings};
use crate::{StoreError, record};

/// The channel on which relays tell each other of messages.
const NOTIFICATIONS: &str = "tbx_outbox";

/// How soon to look again while messages wait behind those of another relay, which tells when it is done, but may be overheard.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The outbox in a PostgreSQL database. A clone is the same outbox; make one for each process.
///
/// ```no_run
/// # async fn example(database: tbx_store::postgres::Database) -> Result<(), Box<dyn std::error::Error>> {
/// use tbx_bus::{Message, Topic};
/// use tbx_store::postgres::PgOutbox;
///
/// let outbox = PgOutbox::new(database.pool());
///
/// let mut transaction = database.begin().await?;
/// sqlx::query("INSERT INTO orders (number) VALUES (7)").execute(&mut *transaction).await?;
/// let event = Message::new(Topic::new("order.placed")?, "OrderPlaced", r#"{"number":7}"#).with_key("order-7")?;
/// outbox.append(&mut transaction, "orders", &event).await?;
/// transaction.commit().await?; // both or neither
/// outbox.wake();
/// # Ok(())
/// # }
/// ```
///
/// # How processes share the work
///
/// - Every row is undone: a message that is settled is deleted. It costs one `INSERT` and one `DELETE`, and no `UPDATE`.
/// - Each row belongs to an *estate*. A process whose relay runs has one of its own, and relays what it appends at once. Rows of other programs
///   belong to an estate that exists always, and that one relay holds at a time.
/// - An estate is held by a lease, by the clock of the server, renewed every third of it. When it runs out, because the process died or cannot reach
///   the database, another relay takes the estate over whole: whatever its size, this is one small update. A relay that stops in good order gives
///   back what it holds, and the others take it at once.
/// - Each change of hands begins a new epoch. A relay settles only in the epoch in which it claimed; one that was paused past its lease finds out,
///   forgets what it had, and hands over nothing more before it holds a lease again.
/// - A message is handed over only when no older one of its channel and key is in the table, whoever owns it, so the order of a key holds across
///   processes. Whoever settles a message that another's message waits for tells the others, by `NOTIFY`; besides, everyone looks again now and then.
///
/// Order is that of the rows' ids. Two transactions that append to one key at the same time, and are not kept apart by something such as the lock of
/// the row they write, have no order to keep.
///
/// The relay makes its notes with `synchronous_commit` off: one that is lost means that a message is published again, which the inbox drops.
/// Appending is the caller's transaction, and must not do so.
#[derive(Debug, Clone)]
pub struct PgOutbox {
    shared: Arc<Shared>,
    lease: Duration,
}

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    /// For settling and claiming.
    work: Link,
    /// For the lease.
    keep: Link,
    /// Of one connection, which listens.
    ears: PgPool,
    /// Something may be there to claim.
    appended: Notify,
    /// Something is there for others to claim.
    others: Notify,
    /// An estate may be there to take.
    given_back: Notify,
    /// Whether a lease was obtained since the relay began.
    leased: watch::Sender<bool>,
    /// Locked for the length of a look or a note, never across an await.
    hold: Mutex<Hold>,
}

impl PgOutbox {
    /// The outbox that `pool` reaches; see [`migrate`](super::migrate) for its tables. While its relay runs, it uses three connections beside the
    /// pool, made with the same settings. They must reach the server itself, or a proxy that pools whole sessions.
    #[must_use]
    pub fn new(pool: &PgPool) -> Self {
        let options = pool.connect_options().as_ref().clone();
        let name = format!("{} outbox", options.get_application_name().unwrap_or("tbx"));
        let relay = options.application_name(&name).options([
            ("synchronous_commit", "off"),
            ("statement_timeout", "10000"),
            ("lock_timeout", "5000"),
            ("idle_in_transaction_session_timeout", "5000"),
            // See claim.sql: one plan, by the indexes, whatever the table holds.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_sort", "off"),
            ("jit", "off"),
        ]);
        let ears = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(relay.clone());
        let shared = Shared {
            pool: pool.clone(),
            work: Link::new(relay.clone()),
            // Who holds what must not be taken back by a crash of the server: two would hold it.
            keep: Link::new(relay.options([("synchronous_commit", "on")])),
            ears,
            appended: Notify::new(),
            others: Notify::new(),
            given_back: Notify::new(),
            leased: watch::Sender::new(false),
            hold: Mutex::default(),
        };
        Self { shared: Arc::new(shared), lease: Duration::from_secs(10) }
    }

    /// The outbox of a [`Database`].
    #[must_use]
    pub fn of(database: &Database) -> Self {
        Self::new(database.pool())
    }

    /// How long another relay waits before it takes over from this one when it is silent; 10 s unless set, at least 300 ms. Set it before cloning.
    ///
    /// Shorter, a pause of the process or the network costs it its estate, and some messages are published twice; longer, the messages of a dead
    /// process wait.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(300));
        self
    }

    /// Appends a message to `channel` in the caller's transaction. A message that is still in the outbox is not appended again.
    ///
    /// Call [`wake`](Self::wake) after the commit; without it the relay's sweep finds the message within a second.
    ///
    /// # Errors
    ///
    /// When the database fails: roll the transaction back.
    ///
    /// # Cancel safety
    ///
    /// Belongs to the transaction.
    pub async fn append(
        &self,
        transaction: &mut PgConnection,
        channel: &str,
        message: &Message,
    ) -> Result<(), StoreError> {
        self.append_new(transaction, channel, message).await.map(drop)
    }

    /// As [`append`](Self::append); tells whether it was not there.
    pub(super) async fn append_new(
        &self,
        transaction: &mut PgConnection,
        channel: &str,
        message: &Message,
    ) -> Result<bool, StoreError> {
        let owner = self.hold().estate_to_append_to();
        let inserted = sqlx::query(
            "INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body, owner) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(channel)
        .bind(message.id().as_str())
        .bind(message.topic().as_str())
        .bind(message.key().unwrap_or_default())
        .bind(record::headers_text(message)?)
        .bind(message.body().as_ref())
        .bind(owner)
        .execute(transaction)
        .await
        .map_err(|error| store_error("appending to the outbox", error))?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Wakes the relay: something was committed. Where none runs with this outbox, that of another process finds it within a second.
    pub fn wake(&self) {
        self.hold().hear();
        self.shared.appended.notify_one();
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.shared.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OutboxStore for PgOutbox {
    async fn attend(&self, counted: &[&str], stop: CancellationToken) {
        self.keep_and_listen(counted, stop).await;
    }

    fn tidings(&self) -> Tidings {
        self.hold().tidings()
    }

    async fn left_behind(&self, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.charged(limit).await
    }

    async fn charge(&self, id: i64) -> Result<(), StoreError> {
        self.count_attempt(id).await
    }

    async fn settle_and_claim(
        &self,
        settlements: &[Settlement],
        wanted: &[(&str, usize)],
        now: DateTime<Utc>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        if self.settle(settlements).await? {
            self.hold().hear();
        } else if self.hold().pass_over() {
            // A look costs the server more than anything else here.
            return Ok(Vec::new());
        }
        self.claim(wanted, now).await
    }

    async fn appended(&self) {
        let (overhears, look_at) = {
            let hold = self.hold();
            (hold.waits_for_others(), hold.look_at())
        };
        tokio::select! {
            () = self.shared.appended.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN), if overhears => {}
            () = until(look_at), if look_at.is_some() => {}
        }
    }

    /// There is nothing to purge: a message that is done leaves at once.
    async fn purge(&self, _before: DateTime<Utc>, _limit: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn stats(&self) -> Result<OutboxStats, StoreError> {
        self.count().await
    }
}

async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        tokio::time::sleep_until(time.into()).await;
    }
}

/// The estate of rows that other programs wrote.
const FOREIGN: Uuid = Uuid::nil();
