//! A database, opened the way the outbox needs it.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool};

use super::error::{DUPLICATE_DATABASE, INSUFFICIENT_PRIVILEGE, UNIQUE_VIOLATION};
use super::error::{code, connect_error};
use super::{DatabaseOptions, MigrationSet, migrations, store_error, within};
use crate::{StoreError, StoreErrorKind};

/// A transaction.
pub type WriteTransaction = sqlx::Transaction<'static, sqlx::Postgres>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was used more recently is taken to be alive.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connection may take to show that it is alive.
const PROOF_TIMEOUT: Duration = Duration::from_secs(2);
/// The databases that every server has, to create others from.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A PostgreSQL database, shared with other processes. A clone is the same database.
///
/// Nothing hangs: statements, locks and transactions left open end on the server's side, and what the network swallows ends on this side. After
/// any outage connections come back by themselves.
///
/// A commit that was answered must survive: do not run the server with `fsync` off, nor these connections with `synchronous_commit` off.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    /// Opens the database, creating it when it is missing and the role may, and brings its messaging tables up to date, and those of `more`. Any
    /// number of processes may do so at once.
    ///
    /// # Errors
    ///
    /// [`Denied`](StoreErrorKind::Denied) when the role is not let in, or may not change tables that are behind; [`Missing`](StoreErrorKind::Missing)
    /// when there is no such database and the role may not create it; [`Schema`](StoreErrorKind::Schema) when another version migrated it;
    /// [`Unavailable`](StoreErrorKind::Unavailable) when the server cannot be reached. Each says what to do about it.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves whole migrations.
    pub async fn open(options: &DatabaseOptions, more: &[MigrationSet]) -> Result<Self, StoreError> {
        let mut connection = match first_connection(options).await {
            Err(error) if error.kind() == StoreErrorKind::Missing => {
                create(options).await?;
                first_connection(options).await?
            }
            connected => connected?,
        };
        migrations::MESSAGING.apply(&mut connection).await?;
        for set in more {
            set.apply(&mut connection).await?;
        }
        // A goodbye that is not heard costs nothing.
        let _ = tokio::time::timeout(PROOF_TIMEOUT, connection.close()).await;
        Ok(Self { pool: pool(options) })
    }

    /// Opens the database as it is, without creating or migrating; [`MigrationSet::check`] tells whether it fits.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connect(options: &DatabaseOptions) -> Result<Self, StoreError> {
        let connection = first_connection(options).await?;
        let _ = tokio::time::timeout(PROOF_TIMEOUT, connection.close()).await;
        Ok(Self { pool: pool(options) })
    }

    /// Whether the role may create databases, as [`open`](Self::open) does with one that is missing. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn may_create(options: &DatabaseOptions) -> Result<bool, StoreError> {
        const ASKING: &str = "asking whether the role may create databases";
        let mut connection = maintenance(options).await?;
        let sql = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user";
        within(ASKING, async {
            let answer = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
            answer.map_err(|error| store_error(ASKING, error))
        })
        .await
    }

    /// Begins a transaction. Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    ///
    /// When no connection is free, or the server not reached, within 5 s.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        within("beginning a transaction", async {
            self.pool.begin().await.map_err(|error| store_error("beginning a transaction", error))
        })
        .await
    }

    /// The pool of connections.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection of the pool, waiting for those in use.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves some connections open; nothing committed is lost.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether a database answers.
///
/// # Errors
///
/// Says why not.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn ping(pool: &PgPool) -> Result<(), StoreError> {
    within("reading", async {
        let one: Result<i32, _> = sqlx::query_scalar("SELECT 1").fetch_one(pool).await;
        one.map(drop).map_err(|error| store_error("reading", error))
    })
    .await
}

fn pool(options: &DatabaseOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(CONNECT_TIMEOUT)
        .max_lifetime(Duration::from_secs(1800))
        .test_before_acquire(false)
        .before_acquire(|connection, use_before| {
            Box::pin(
                async move { if use_before.idle_for > FRESH { alive(connection).await } else { Ok(true) } },
            )
        })
        // A connection whose user gave up waiting would otherwise be waited for by the pool, without an end.
        .after_release(|connection, _| Box::pin(alive(connection)))
        .connect_lazy_with(options.connect.clone())
}

async fn alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PROOF_TIMEOUT, connection.ping()).await {
        Ok(result) => result.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// A connection outside of the pool, which would hide why there is none.
async fn first_connection(options: &DatabaseOptions) -> Result<PgConnection, StoreError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect.connect()).await {
        Ok(connected) => connected.map_err(|error| connect_error(options, error)),
        Err(_) => Err(connect_error(options, sqlx::Error::PoolTimedOut)),
    }
}

async fn create(options: &DatabaseOptions) -> Result<(), StoreError> {
    let name = options.database();
    let refused = |error| {
        let context = format!(
            "{name} at {}, and the role {} may not create it; create it (createdb -O {} {name}), or grant the role CREATEDB",
            options.place(),
            options.connect.get_username(),
            options.connect.get_username(),
        );
        StoreError::new(StoreErrorKind::Missing, context).with_source(error)
    };
    let mut connection = maintenance(options).await?;
    let sql = format!("CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING 'UTF8'", name.replace('"', "\"\""));
    // The name is quoted: there are no parameters in such a statement.
    let created =
        within("creating the database", async { Ok(connection.execute(AssertSqlSafe(sql)).await) }).await?;
    match created {
        Ok(_) => {
            tracing::info!(database = name, "database created");
            Ok(())
        }
        Err(error) => match code(&error).as_deref() {
            // Another process was faster.
            Some(DUPLICATE_DATABASE | UNIQUE_VIOLATION) => Ok(()),
            Some(INSUFFICIENT_PRIVILEGE) => Err(refused(error)),
            _ => Err(store_error(&format!("creating {name} at {}", options.place()), error)),
        },
    }
}

async fn maintenance(options: &DatabaseOptions) -> Result<PgConnection, StoreError> {
    let mut result = Err(StoreError::new(StoreErrorKind::Missing, "no database to connect to"));
    for name in MAINTENANCE {
        let there = DatabaseOptions { connect: options.connect.clone().database(name), ..*options };
        result = first_connection(&there).await;
        match &result {
            Err(error) if error.kind() == StoreErrorKind::Missing => {}
            _ => break,
        }
    }
    result
}
