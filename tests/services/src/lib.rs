//! Real servers for tests. `tests/services/up` starts them, and says where they are by `TBX_TEST_AMQP_URL`, `TBX_TEST_AMQP_MANAGEMENT_URL`,
//! `TBX_TEST_REDIS_URL` and `TBX_TEST_POSTGRES_URL`. A missing server is a failure that says so, never a skip.
//!
//! Each test has a place of its own, which is gone when the value is dropped: [`Vhost`], [`Database`], [`Keyspace`]. A [`Relay`] stands between
//! a program and a server and misbehaves when told to; a [`TlsRelay`] speaks TLS for one that does not.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod amqp;
mod database;
mod keyspace;
mod relay;
mod tls;
mod url;
mod vhost;

pub use database::Database;
pub use keyspace::Keyspace;
pub use relay::Relay;
pub use tls::{Authority, TlsRelay};
pub use url::with_credentials;
pub use vhost::Vhost;

/// The value of a variable that names a server.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `eval \"$(tests/services/up FOLDER)\"`, or `./tests/run`, which does it")
    })
}

/// A name that no other test has.
fn fresh_name() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}
