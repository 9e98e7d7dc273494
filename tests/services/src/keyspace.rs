//! A key prefix of Redis.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;

use crate::url::Url;
use crate::{Relay, fresh_name, server};

/// A key prefix of its own, or a numbered database. Dropped, the keys in it are deleted.
#[derive(Debug)]
pub struct Keyspace {
    prefix: String,
    server: Url,
    /// The number of a database that is this test's alone.
    database: Option<u32>,
}

/// The key by which a test has a database.
const TAKEN: &str = "taken-by-a-test";

impl Keyspace {
    /// A fresh prefix.
    ///
    /// # Panics
    ///
    /// When no server is named.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it needs a server")]
    pub fn new() -> Self {
        Self::at(&server("TBX_TEST_REDIS_URL"))
    }

    /// A fresh prefix on the server at a URL.
    #[must_use]
    pub fn at(server: &str) -> Self {
        Self { prefix: fresh_name(), server: Url::parse(server), database: None }
    }

    /// A numbered database that nobody else uses, for programs that choose their keys themselves.
    ///
    /// # Panics
    ///
    /// When the server has none left.
    #[must_use]
    pub fn database() -> Self {
        let mut keyspace = Self::new();
        let mut connection = keyspace.connect().unwrap();
        let databases: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg("databases").query(&mut connection).unwrap();
        let databases: u32 = databases[1].parse().unwrap();
        // Not the lowest first: what a host that was killed had sent may still come to one that was just given back.
        let (free, first) = (u64::from(databases - 1), RandomState::new().build_hasher().finish());
        for number in (0..free).map(|step| 1 + (first % free + step) % free) {
            redis::cmd("SELECT").arg(number).exec(&mut connection).unwrap();
            let taken: bool =
                redis::cmd("SETNX").arg(TAKEN).arg(&keyspace.prefix).query(&mut connection).unwrap();
            if taken {
                keyspace.database = u32::try_from(number).ok();
                return keyspace;
            }
        }
        panic!("each of the {databases} databases of Redis is taken: start it with more, or empty them")
    }

    fn path(&self) -> String {
        self.database.map(|number| number.to_string()).unwrap_or_default()
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    /// Deletes every key of the server, whoever's. For a server that is this test's alone.
    ///
    /// # Panics
    ///
    /// When the server fails.
    pub fn clear_server(&self) {
        let mut connection = self.connect().unwrap();
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    }

    /// Changes a setting of the server, whoever's keys it concerns. For a server that is this test's alone.
    ///
    /// # Panics
    ///
    /// When the server fails.
    pub fn configure(&self, setting: &str, value: &str) {
        let mut connection = self.connect().unwrap();
        redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec(&mut connection).unwrap();
    }

    /// What its keys begin with, if need be in braces.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.with_path(&self.path())
    }

    /// The address of its server, for a [`Relay`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address(6379)
    }

    /// Where it is, through a relay.
    #[must_use]
    pub fn url_through(&self, relay: &Relay) -> String {
        self.server.at(relay.address(), &self.path())
    }

    /// Deletes its keys now, as a server that has lost them.
    ///
    /// # Panics
    ///
    /// When the server fails.
    pub fn clear(&self) {
        self.try_clear().unwrap();
    }

    fn try_clear(&self) -> redis::RedisResult<()> {
        let mut connection = self.connect()?;
        if self.database.is_some() {
            return redis::cmd("FLUSHDB").exec(&mut connection);
        }
        let mut cursor = 0_u64;
        loop {
            let pattern = format!("*{}*", self.prefix);
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1_000)
                .query(&mut connection)?;
            if !keys.is_empty() {
                redis::cmd("DEL").arg(keys).exec(&mut connection)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        // The server may be gone too, as tests end it.
        let _ = self.try_clear();
    }
}
