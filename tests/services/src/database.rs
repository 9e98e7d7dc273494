//! A database of PostgreSQL.

use std::net::SocketAddr;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::url::Url;
use crate::{Relay, fresh_name, server};

/// A database of its own. Dropped, it is deleted, whoever is connected.
#[derive(Debug)]
pub struct Database {
    name: String,
    server: Url,
}

impl Database {
    /// A fresh, empty database.
    ///
    /// # Panics
    ///
    /// When the server cannot be asked for it.
    #[must_use]
    pub async fn create() -> Self {
        let database = Self::absent();
        database.admin(&format!("CREATE DATABASE {}", database.name)).await.unwrap();
        database
    }

    /// The place for one that is not there yet; dropped, it is deleted all the same.
    ///
    /// # Panics
    ///
    /// When no server is named.
    #[must_use]
    pub fn absent() -> Self {
        Self { name: fresh_name(), server: Url::parse(&server("TBX_TEST_POSTGRES_URL")) }
    }

    /// The place for one that is not there yet, on the server at a URL; dropped, it is deleted.
    #[must_use]
    pub fn absent_at(server: &str) -> Self {
        Self { name: fresh_name(), server: Url::parse(server) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.with_path(&self.name)
    }

    /// The address of its server, for a [`Relay`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address(5432)
    }

    /// Where it is, through a relay.
    #[must_use]
    pub fn url_through(&self, relay: &Relay) -> String {
        self.url_at(relay.address())
    }

    /// Where it is, through something that listens at an address.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        self.server.at(address, &self.name)
    }

    /// Runs a statement in it, as the user of the test URL.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The number that a query gives.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        let count =
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        count
    }

    async fn admin(&self, sql: &str) -> Result<(), sqlx::Error> {
        let options: sqlx::postgres::PgConnectOptions = self.server.with_path("postgres").parse()?;
        let mut connection = options.disable_statement_logging().connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        connection.close().await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // On a thread of its own: the test's runtime cannot be waited for here, and may be about to end.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
                // The server may be gone too, as tests end it.
                let _ = runtime.block_on(self.admin(&sql));
            });
        });
    }
}
