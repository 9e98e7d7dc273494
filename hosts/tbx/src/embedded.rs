//! The parts of the embedded default: SQLite, a bus and a cache in memory.

use std::path::Path;
use std::sync::Arc;

use tbx_bus::{BusError, MemoryBus, Subscriber};
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL};
use tbx_core::{Clock, ProcessStudentEventHandler, SystemClock};
use tbx_notify::history::{History, MemoryHistory, Retention, SqliteHistory};
use tbx_service::Config;
use tbx_service::config::{DatabaseUrl, HistoryUrl};
use tbx_store::cache::MemoryCache;
use tbx_store::outbox::{Relay, Route};
use tbx_store::sqlite::{Database, DatabaseOptions, SqliteDeadLetters, SqliteOutbox};
use tbx_store::students::sqlite::{MIGRATIONS, SqliteStudents};
use tbx_store::students::{BusAnnouncer, CachedStudents};

use crate::exit::Failure;

/// How much the cache holds.
const CACHE_BYTES: u64 = 16 << 20;

/// The database with its outbox, and the students in it.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) database: Database,
    pub(crate) outbox: SqliteOutbox,
    pub(crate) students: SqliteStudents,
}

impl Storage {
    /// Opens the database, creating and migrating it as needed.
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        let database =
            Database::open(&options(config), &[MIGRATIONS]).await.map_err(|error| Failure::failed(&error))?;
        let outbox = SqliteOutbox::of(&database);
        let students = SqliteStudents::new(database.clone(), outbox.clone());
        Ok(Self { database, outbox, students })
    }
}

/// How the configured database is opened.
pub(crate) fn options(config: &Config) -> DatabaseOptions {
    let DatabaseUrl::Sqlite(path) = &config.database_url;
    DatabaseOptions::new(path)
}

/// The two channels, each a bus of its own.
#[derive(Debug, Clone)]
pub(crate) struct Buses {
    pub(crate) events: MemoryBus,
    pub(crate) notifications: MemoryBus,
}

impl Buses {
    /// The buses with their groups, which exist before the first message.
    pub(crate) async fn open(storage: &Storage) -> Result<Self, Failure> {
        let bus = |channel| {
            let letters = SqliteDeadLetters::new(storage.database.writer().clone(), channel);
            MemoryBus::builder().with_dead_letters(Arc::new(letters)).build()
        };
        let buses = Self { events: bus(EVENTS_CHANNEL), notifications: bus(NOTIFICATIONS_CHANNEL) };
        buses.declare().await.map_err(|error| Failure::failed(&error))?;
        Ok(buses)
    }

    async fn declare(&self) -> Result<(), BusError> {
        self.events.declare(&tbx_worker::group()).await?;
        self.notifications.declare(&tbx_notifier::group()).await
    }

    /// The relay from the outbox to both.
    pub(crate) fn relay(&self, outbox: &SqliteOutbox) -> Relay {
        let routes = [
            Route::new(EVENTS_CHANNEL, Arc::new(self.events.clone())),
            Route::new(NOTIFICATIONS_CHANNEL, Arc::new(self.notifications.clone())),
        ];
        Relay::new(Arc::new(outbox.clone()), routes)
    }
}

/// What use cases need beside the students.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) cache: CachedStudents,
    /// What the cache holds.
    pub(crate) entries: MemoryCache,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Surroundings {
    pub(crate) fn new() -> Self {
        let entries = MemoryCache::new(CACHE_BYTES);
        Self { cache: CachedStudents::new(Arc::new(entries.clone())), entries, clock: Arc::new(SystemClock) }
    }

    /// The worker's handler.
    pub(crate) fn worker(&self, storage: &Storage, buses: &Buses) -> tbx_worker::StudentEvents {
        let process = ProcessStudentEventHandler::new(
            Arc::new(storage.students.clone()),
            Arc::new(self.cache.clone()),
            Arc::new(BusAnnouncer::new(Arc::new(buses.notifications.clone()))),
        );
        tbx_worker::StudentEvents::new(process, Arc::clone(&self.clock))
    }
}

/// The history of notifications.
#[derive(Debug, Clone)]
pub(crate) enum OpenHistory {
    Sqlite(Arc<SqliteHistory>),
    Memory(Arc<MemoryHistory>),
}

impl OpenHistory {
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        let retention = Retention { max_count: config.history_max_count, max_age: config.history_max_age };
        match &config.history_url {
            HistoryUrl::Sqlite(path) => Self::open_file(path, retention).await,
            HistoryUrl::Memory => Ok(Self::Memory(Arc::new(MemoryHistory::new(retention)))),
        }
    }

    async fn open_file(path: &Path, retention: Retention) -> Result<Self, Failure> {
        let history = SqliteHistory::open(path, retention).await.map_err(|error| Failure::failed(&error))?;
        Ok(Self::Sqlite(Arc::new(history)))
    }

    pub(crate) fn shared(&self) -> Arc<dyn History> {
        match self {
            Self::Sqlite(history) => Arc::clone(history) as Arc<dyn History>,
            Self::Memory(history) => Arc::clone(history) as Arc<dyn History>,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(history) => history.close().await,
            Self::Memory(_) => {}
        }
    }
}
