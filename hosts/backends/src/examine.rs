//! How the configured servers are set up, for those who look without changing anything.

use sqlx::Row;
use tbx_bus::BusError;
pub use tbx_bus::rabbitmq::BrokerFacts;
use tbx_bus::rabbitmq::{RabbitMq, RabbitOptions};
pub use tbx_notify::history::RedisFacts;
use tbx_notify::history::{HistoryError, Retention};
use tbx_service::config::{BusUrl, DatabaseUrl, SecretUrl};
use tbx_service::{Config, chain};
use tbx_store::postgres::{self, MESSAGING, store_error};
use tbx_store::students::postgres::MIGRATIONS as STUDENTS;
use tbx_store::{StoreError, StoreErrorKind};

use crate::buses::{SETTING as BUS, rabbit_options, topology};
use crate::history::redis_options;
use crate::storage::postgres_options;
use crate::{HistoryHead, OpenCache, OpenError};

/// Looks whether each URL can be used, as far as no server need be asked: before one is waited for.
///
/// # Errors
///
/// Names the first that cannot.
pub fn check_urls(config: &Config) -> Result<(), OpenError> {
    if let DatabaseUrl::Postgres(url) = &config.database_url {
        postgres_options(url, "tbx config").map(drop)?;
    }
    if let BusUrl::Amqp(url) = &config.bus_url {
        rabbit_options(url, "tbx config").map(drop)?;
    }
    OpenCache::open(config).map(drop)?;
    HistoryHead::shared(config).map(drop)
}

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

/// How a broker is set up, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusFacts {
    /// What it tells about itself.
    pub broker: BrokerFacts,
    /// What is declared there otherwise than the hosts declare it, so that they do not start; each with the remedy.
    pub drifted: Vec<String>,
    /// What is not there yet; a start declares it.
    pub missing: Vec<String>,
}

/// Asks a broker, and compares what is on it with what the hosts declare. Of one that is too old nothing is compared.
///
/// # Errors
///
/// When it cannot be reached; the cause names what to do.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn broker(config: &Config, url: &SecretUrl) -> Result<BusFacts, OpenError> {
    let failed = |error: BusError| OpenError::of(BUS)(error.into());
    let options = rabbit_options(url, "tbx doctor")?;
    let broker = options.probe().await.map_err(failed)?;
    let differences = match broker.is_too_old() {
        true => Vec::new(),
        false => differences(config, options).await.map_err(failed)?,
    };
    // By its words alone a difference tells whether the name is there at all.
    let (missing, drifted) =
        differences.into_iter().partition(|difference| difference.ends_with(" is missing"));
    Ok(BusFacts { broker, drifted, missing })
}

async fn differences(config: &Config, options: RabbitOptions) -> Result<Vec<String>, BusError> {
    let topology = topology(config)?;
    let rabbit = RabbitMq::start(options);
    let differences = topology.verify(&rabbit).await;
    rabbit.close().await;
    differences
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
    let facts = RedisFacts::of(&redis_options(setting, url, Retention::default())?).await;
    facts.map_err(|error| OpenError::of(setting)(of_redis(&error).into()))
}

/// What an error says of a Redis, which need not be that of a history.
pub(crate) fn of_redis(error: &HistoryError) -> String {
    chain(error).trim_start_matches("the history failed: ").to_owned()
}
