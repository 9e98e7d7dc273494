//! Which implementation of each part, by URL.

use std::path::PathBuf;

use super::SecretUrl;

/// Where students, outbox and inbox are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `postgres://…`.
    Postgres(SecretUrl),
}

impl DatabaseUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "sqlite" => sqlite_path(text).map(Self::Sqlite),
            "postgres" | "postgresql" => {
                server(text, "postgres://user:password@host:5432/tbx").map(Self::Postgres)
            }
            "mssql" | "sqlserver" => {
                Err("cannot be used: there is no SQL Server driver; use postgres:// or sqlite:PATH"
                    .to_owned())
            }
            _ => Err(unknown("database", "use sqlite:PATH, such as sqlite:data/tbx.db, or postgres://")),
        }
    }
}

/// What carries events and notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusUrl {
    /// `memory:`, within the process.
    Memory,
    /// `none:`, for a notifier fed by HTTP alone.
    None,
    /// `amqp://…` or `amqps://…`.
    Amqp(SecretUrl),
}

impl BusUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "memory" if text == "memory:" => Ok(Self::Memory),
            "none" if text == "none:" => Ok(Self::None),
            "amqp" | "amqps" => server(text, "amqp://user:password@host:5672/vhost").map(Self::Amqp),
            _ => Err(unknown("bus", "use memory:, amqp:// or amqps://, or none:")),
        }
    }
}

/// The second tier of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheUrl {
    /// `memory:`, within the process.
    Memory,
    /// `redis://…` or `rediss://…`.
    Redis(SecretUrl),
}

impl CacheUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "memory" if text == "memory:" => Ok(Self::Memory),
            "redis" | "rediss" => server(text, REDIS).map(Self::Redis),
            _ => Err(unknown("cache", "use memory:, redis:// or rediss://")),
        }
    }
}

/// Where the history of notifications is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryUrl {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `memory:`, gone with the process.
    Memory,
    /// `redis://…` or `rediss://…`, shared by all notifiers.
    Redis(SecretUrl),
}

impl HistoryUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "sqlite" => sqlite_path(text).map(Self::Sqlite),
            "memory" if text == "memory:" => Ok(Self::Memory),
            "redis" | "rediss" => server(text, REDIS).map(Self::Redis),
            _ => Err(unknown("history", "use sqlite:PATH, redis:// or rediss://, or memory:")),
        }
    }
}

const REDIS: &str = "redis://:password@host:6379";

fn scheme(text: &str) -> &str {
    text.split_once(':').map_or("", |(scheme, _)| scheme)
}

fn unknown(part: &str, remedy: &str) -> String {
    format!("names no {part} this program knows; {remedy}")
}

/// The URL of a server. What it says beyond that is read by the driver, which is asked at the start.
fn server(text: &str, example: &str) -> Result<SecretUrl, String> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    if rest.is_empty() || text.chars().any(char::is_whitespace) {
        return Err(format!("names no server; write it as {example}"));
    }
    Ok(SecretUrl::new(text))
}

/// Both `sqlite:PATH` and the `sqlite://PATH` of other tools. The path is taken as it is, relative to the
/// working directory.
fn sqlite_path(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("sqlite:").unwrap_or(text);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Err("names no file; use sqlite:PATH, such as sqlite:data/tbx.db".to_owned());
    }
    if path.contains('?') {
        return Err("has parameters, and there are none to give; use sqlite:PATH alone".to_owned());
    }
    Ok(PathBuf::from(path))
}
