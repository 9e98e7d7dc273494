//! How the configured servers are set up, for those who look without changing anything.

use sqlx::Row;
pub use tbx_bus::rabbitmq::BrokerFacts;
use tbx_notify::history::{RedisFacts, Retention};
use tbx_service::config::SecretUrl;
use tbx_store::postgres::{self, MESSAGING, store_error};
use tbx_store::students::postgres::MIGRATIONS as STUDENTS;
use tbx_store::{StoreError, StoreErrorKind};

use crate::OpenError;
use crate::buses::rabbit_options;
use crate::history::redis_options;
use crate::storage::postgres_options;

/// How a PostgreSQL database is set up, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The version of the server.
    pub version: String,
    /// Whether an answered commit is on the disk: `fsync`, and `synchronous_commit` for this role.
    pub is_durable: bool,
    /// How its schema is.
    pub schema: Schema,
    /// By how many seconds its clock is ahead of that of this machine.
    pub ahead: i64,
}

/// How a schema stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// As it should be.
    Current,
    /// So many steps are missing.
    Behind(usize),
    /// Another version made it; the text says what to do.
    Foreign(String),
}

/// Asks a PostgreSQL database; `None` when it is not there yet and a start would create it.
///
/// # Errors
///
/// When it cannot be reached; the cause names what to do.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn database(url: &SecretUrl) -> Result<Option<DatabaseFacts>, OpenError> {
    let failed = |error: StoreError| OpenError::of("TBX_DATABASE_URL")(error.into());
    let options = postgres_options(url, "tbx doctor")?.with_connections(1);
    let database = match postgres::Database::connect(&options).await {
        // Where that cannot be found out either, its absence is what there is to tell.
        Err(error) if error.kind() == StoreErrorKind::Missing => {
            let may_create = postgres::Database::may_create(&options).await.unwrap_or(false);
            return if may_create { Ok(None) } else { Err(failed(error)) };
        }
        connected => connected.map_err(failed)?,
    };
    let schema = schema(&database).await.map_err(failed)?;
    let row = sqlx::query(
        "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'), \
         extract(epoch FROM clock_timestamp())::bigint",
    )
    .fetch_one(database.pool())
    .await
    .map_err(|error| failed(store_error("asking how the server is set up", error)))?;
    database.close().await;
    let (fsync, synchronous): (String, String) = (row.get(1), row.get(2));
    Ok(Some(DatabaseFacts {
        version: row.get(0),
        is_durable: fsync == "on" && synchronous != "off",
        schema,
        ahead: row.get::<i64, _>(3) - chrono::Utc::now().timestamp(),
    }))
}

async fn schema(database: &postgres::Database) -> Result<Schema, StoreError> {
    let mut missing = 0;
    for set in [MESSAGING, STUDENTS] {
        let absent = set.status(database.pool()).await?.iter().filter(|(_, applied)| !applied).count();
        missing += absent;
        match set.check(database.pool()).await {
            // Everything that this version knows is there, and does not fit.
            Err(error) if error.kind() == StoreErrorKind::Schema && absent == 0 => {
                return Ok(Schema::Foreign(error.to_string()));
            }
            Err(error) if error.kind() != StoreErrorKind::Schema => return Err(error),
            _ => {}
        }
    }
    Ok(if missing == 0 { Schema::Current } else { Schema::Behind(missing) })
}

/// Asks a broker.
///
/// # Errors
///
/// When it cannot be reached; the cause names what to do.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn broker(url: &SecretUrl) -> Result<BrokerFacts, OpenError> {
    let probed = rabbit_options(url, "tbx doctor")?.probe().await;
    probed.map_err(|error| OpenError::of("TBX_BUS_URL")(error.into()))
}

/// Asks the Redis of `setting`.
///
/// # Errors
///
/// When it cannot be reached; the cause names what to do.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn redis(setting: &'static str, url: &SecretUrl) -> Result<RedisFacts, OpenError> {
    let facts = RedisFacts::of(&redis_options(url, Retention::default())).await;
    facts.map_err(|error| OpenError::of(setting)(error.into()))
}
