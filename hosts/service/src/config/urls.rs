//! Which implementation of each part, by URL.

use std::path::PathBuf;

/// Where students, outbox and inbox are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "sqlite" => sqlite_path(text).map(Self::Sqlite),
            "postgres" | "postgresql" => {
                Err(not_yet("PostgreSQL", "use sqlite:PATH, such as sqlite:data/tbx.db"))
            }
            "mssql" | "sqlserver" => Err("cannot be used: there is no SQL Server driver; use sqlite: or \
                                          postgres: (of which this version has only sqlite:)"
                .to_owned()),
            _ => Err(unknown("database", "use sqlite:PATH, such as sqlite:data/tbx.db")),
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
}

impl BusUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "memory" if text == "memory:" => Ok(Self::Memory),
            "none" if text == "none:" => Ok(Self::None),
            "amqp" | "amqps" => Err(not_yet("RabbitMQ", "use memory:")),
            _ => Err(unknown("bus", "use memory: or none:")),
        }
    }
}

/// The second tier of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheUrl {
    /// `memory:`, within the process.
    Memory,
}

impl CacheUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "memory" if text == "memory:" => Ok(Self::Memory),
            "redis" | "rediss" => Err(not_yet("Redis", "use memory:")),
            _ => Err(unknown("cache", "use memory:")),
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
}

impl HistoryUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match scheme(text) {
            "sqlite" => sqlite_path(text).map(Self::Sqlite),
            "memory" if text == "memory:" => Ok(Self::Memory),
            "redis" | "rediss" => Err(not_yet("Redis", "use sqlite:PATH or memory:")),
            _ => Err(unknown("history", "use sqlite:PATH or memory:")),
        }
    }
}

fn scheme(text: &str) -> &str {
    text.split_once(':').map_or("", |(scheme, _)| scheme)
}

fn not_yet(what: &str, remedy: &str) -> String {
    format!("needs {what}, which this version does not have yet; {remedy}")
}

fn unknown(part: &str, remedy: &str) -> String {
    format!("names no {part} this program knows; {remedy}")
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
