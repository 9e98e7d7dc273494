//! A place of a test's own on each server.

use std::process::Output;

use tbx_services::{Database, Keyspace, Relay, Vhost};

use crate::{Setup, within};

/// A virtual host, a database that is not there yet, and a key space. Dropped, they are gone.
#[derive(Debug)]
pub struct Places {
    /// On RabbitMQ.
    pub vhost: Vhost,
    /// On PostgreSQL.
    pub database: Database,
    /// On Redis.
    pub keyspace: Keyspace,
}

impl Places {
    /// Fresh ones on the servers that the environment names.
    ///
    /// # Panics
    ///
    /// When a server is missing.
    pub async fn new() -> Self {
        Self { vhost: Vhost::create().await, database: Database::absent(), keyspace: Keyspace::database() }
    }

    /// The settings of every host.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup::new()
            .with("TBX_DATABASE_URL", &self.database.url())
            .with("TBX_BUS_URL", &self.vhost.url())
            .with("TBX_CACHE_URL", &self.keyspace.url())
            .with("TBX_HISTORY_URL", &self.keyspace.url())
    }

    /// The settings of every host, with the database migrated.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn migrated(&self) -> Setup {
        let setup = self.setup();
        let Output { status, stderr, .. } =
            within("migrating", setup.command(&["migrate"]).output()).await.unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        setup
    }

    /// A relay before the broker, before the database and before Redis, and the settings of hosts that go through them.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn relayed(&self) -> (Setup, [Relay; 3]) {
        let [bus, database, redis] = [
            Relay::start(self.vhost.address()).await,
            Relay::start(self.database.address()).await,
            Relay::start(self.keyspace.address()).await,
        ];
        let setup = self
            .setup()
            .with("TBX_BUS_URL", &self.vhost.url_through(&bus))
            .with("TBX_DATABASE_URL", &self.database.url_through(&database))
            .with("TBX_HISTORY_URL", &self.keyspace.url_through(&redis))
            .with("TBX_CACHE_URL", &self.keyspace.url_through(&redis));
        (setup, [bus, database, redis])
    }
}
