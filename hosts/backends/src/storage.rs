//! Students, outbox, inbox and dead letters.

use std::sync::Arc;

use tbx_bus::DeadLetterSink;
use tbx_core::Students;
use tbx_service::config::{DatabaseUrl, SecretUrl};
use tbx_service::health::probe;
use tbx_service::{Config, Process, chain};
use tbx_store::StoreError;
use tbx_store::outbox::OutboxStore;
use tbx_store::postgres::{self, PgDeadLetters, PgOutbox};
use tbx_store::sqlite::{self, SqliteDeadLetters, SqliteOutbox};
use tbx_store::students::postgres::{MIGRATIONS as POSTGRES_STUDENTS, PgStudents};
use tbx_store::students::sqlite::{MIGRATIONS as SQLITE_STUDENTS, SqliteStudents};
use tokio_util::sync::CancellationToken;

use crate::OpenError;
use crate::patience::{Opening, patiently};

const SETTING: &str = "TBX_DATABASE_URL";

/// The database with its outbox, and the students in it. A clone is the same database.
#[derive(Debug, Clone)]
pub enum Storage {
    /// A file that this process owns.
    Sqlite {
        /// The file.
        database: sqlite::Database,
        /// What is to be published.
        outbox: SqliteOutbox,
        /// The students.
        students: SqliteStudents,
    },
    /// A database that processes share.
    Postgres {
        /// The database.
        database: postgres::Database,
        /// What is to be published.
        outbox: PgOutbox,
        /// The students.
        students: PgStudents,
    },
}

impl Storage {
    /// Opens the database, creating and migrating it as needed. `program` is the name that a server shows.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the cause names what to do.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves whole migrations.
    pub async fn open(config: &Config, program: &str) -> Result<Self, OpenError> {
        match &config.database_url {
            DatabaseUrl::Sqlite(path) => {
                let options = sqlite::DatabaseOptions::new(path);
                let opened = sqlite::Database::open(&options, &[SQLITE_STUDENTS]).await;
                let database = opened.map_err(|error| OpenError::of(SETTING)(error.into()))?;
                let outbox = SqliteOutbox::of(&database);
                let students = SqliteStudents::new(database.clone(), outbox.clone());
                Ok(Self::Sqlite { database, outbox, students })
            }
            DatabaseUrl::Postgres(url) => {
                let options = postgres_options(url, program)?;
                let open = || postgres::Database::open(&options, &[POSTGRES_STUDENTS]);
                let database = patiently(SETTING, open).await?;
                let outbox = PgOutbox::of(&database);
                let students = PgStudents::new(database.clone(), outbox.clone());
                Ok(Self::Postgres { database, outbox, students })
            }
        }
    }

    /// Each set of migrations, each step of it, and whether it is applied. Looks at what is there, and creates nothing.
    ///
    /// # Errors
    ///
    /// When there is no database, or it cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn migrations(config: &Config) -> Result<Vec<Step>, OpenError> {
        let failed = |error: StoreError| OpenError::of(SETTING)(error.into());
        match &config.database_url {
            DatabaseUrl::Sqlite(path) => {
                let options = sqlite::DatabaseOptions::new(path).with_create(false);
                let database = sqlite::Database::connect(&options).await.map_err(failed)?;
                let mut steps = Vec::new();
                for set in [sqlite::MESSAGING, SQLITE_STUDENTS] {
                    let applied = set.status(database.writer()).await.map_err(failed)?;
                    steps.extend(applied.into_iter().map(|(name, applied)| Step {
                        set: set.table,
                        name,
                        applied,
                    }));
                }
                database.close().await;
                Ok(steps)
            }
            DatabaseUrl::Postgres(url) => {
                let options = postgres_options(url, "tbx migrate")?;
                let database = postgres::Database::connect(&options).await.map_err(failed)?;
                let mut steps = Vec::new();
                for set in [postgres::MESSAGING, POSTGRES_STUDENTS] {
                    let applied = set.status(database.pool()).await.map_err(failed)?;
                    steps.extend(applied.into_iter().map(|(name, applied)| Step {
                        set: set.table,
                        name,
                        applied,
                    }));
                }
                database.close().await;
                Ok(steps)
            }
        }
    }

    /// The students.
    #[must_use]
    pub fn students(&self) -> Arc<dyn Students> {
        match self {
            Self::Sqlite { students, .. } => Arc::new(students.clone()),
            Self::Postgres { students, .. } => Arc::new(students.clone()),
        }
    }

    /// What is to be published.
    #[must_use]
    pub fn outbox(&self) -> Arc<dyn OutboxStore> {
        match self {
            Self::Sqlite { outbox, .. } => Arc::new(outbox.clone()),
            Self::Postgres { outbox, .. } => Arc::new(outbox.clone()),
        }
    }

    /// Where the dead letters of a channel go whose bus keeps none.
    #[must_use]
    pub fn dead_letters(&self, channel: &str) -> Arc<dyn DeadLetterSink> {
        match self {
            Self::Sqlite { database, .. } => {
                Arc::new(SqliteDeadLetters::new(database.writer().clone(), channel))
            }
            Self::Postgres { database, .. } => Arc::new(PgDeadLetters::new(database.pool().clone(), channel)),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// Says why not.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite { database, .. } => sqlite::ping(database.readers()).await,
            Self::Postgres { database, .. } => postgres::ping(database.pool()).await,
        }
    }

    /// Starts to look after it: the check `database`, and deleting what is no longer needed.
    pub fn watch(&self, process: &Process) {
        let Process { health, tasks, stops, .. } = process;
        tasks.spawn("housekeeping", self.clone().keep_house(stops.watchers.clone()));
        let storage = self.clone();
        let look = move || {
            let storage = storage.clone();
            async move { storage.ping().await.map_err(|error| chain(&error)) }
        };
        tasks.spawn("database health", probe(health.register("database"), stops.watchers.clone(), look));
    }

    async fn keep_house(self, stop: CancellationToken) {
        match self {
            Self::Sqlite { database, outbox, .. } => {
                sqlite::Housekeeping::new(database, outbox, sqlite::Retention::default()).run(stop).await;
            }
            Self::Postgres { database, .. } => {
                postgres::Housekeeping::new(database, postgres::Retention::default()).run(stop).await;
            }
        }
    }

    /// Closes every connection.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves some open; nothing committed is lost.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { database, .. } => database.close().await,
            Self::Postgres { database, .. } => database.close().await,
        }
    }
}

/// A step of the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The table that remembers the steps of its set.
    pub set: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it is applied.
    pub applied: bool,
}

/// How the database at a URL is reached.
pub(crate) fn postgres_options(
    url: &SecretUrl,
    program: &str,
) -> Result<postgres::DatabaseOptions, OpenError> {
    let options = postgres::DatabaseOptions::new(url.reveal());
    options
        .map(|options| options.with_application_name(program))
        .map_err(|error| OpenError::unusable(SETTING, error))
}

impl Opening for StoreError {
    fn may_pass(&self) -> bool {
        self.is_retryable()
    }
}
