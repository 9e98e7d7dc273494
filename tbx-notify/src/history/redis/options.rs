//! Where the history is, and how much it keeps.

use std::fmt;

use redis::Client;

use super::super::contract::{HistoryError, Retention};
use super::address;

/// Where a [`RedisHistory`](super::RedisHistory) is, and how much it keeps. Its [`Debug`](fmt::Debug) shows no password.
#[derive(Clone)]
pub struct RedisHistoryOptions {
    url: String,
    retention: Retention,
    prefix: String,
}

impl RedisHistoryOptions {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS. TLS needs a rustls crypto provider that the program has installed,
    /// and trusts the authorities that the system trusts, or those in the PEM file that the parameter `cacertfile` names: `rediss://host?cacertfile=FILE`.
    ///
    /// Notifiers of one history keep the same; the one that keeps the least trims.
    #[must_use]
    pub fn new(url: impl Into<String>, retention: Retention) -> Self {
        Self { url: url.into(), retention, prefix: "tbx:history".to_owned() }
    }

    /// What the keys of the history begin with, in braces, so that a cluster keeps them together; `tbx:history` unless set. Histories with different
    /// prefixes have nothing to do with each other.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    pub(super) fn retention(&self) -> Retention {
        self.retention
    }

    /// Stream, ids, state, what was trimmed: as scripts take them.
    pub(super) fn keys(&self) -> Result<Keys, HistoryError> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            return Err(HistoryError::new("its prefix is empty or has braces; choose another").lasting());
        }
        let key = |name: &str| format!("{{{}}}:{name}", self.prefix);
        Ok(Keys { stream: key("entries"), ids: key("ids"), meta: key("state"), trimmed: key("trimmed") })
    }

    pub(super) fn client(&self) -> Result<Client, HistoryError> {
        address::client(&self.url)
    }
}

impl fmt::Debug for RedisHistoryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisHistoryOptions")
            .field("retention", &self.retention)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The keys of one history.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) stream: String,
    pub(super) ids: String,
    pub(super) meta: String,
    pub(super) trimmed: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_shown_a_password() {
        let options = RedisHistoryOptions::new("redis://user:secret@[", Retention::default());
        let error = options.client().unwrap_err();
        let said = format!("{options:?} {error} {error:?}");
        assert!(!said.contains("secret"), "{said}");
        assert!(error.to_string().contains("redis://"), "{error}");
    }

    #[test]
    fn a_prefix_stands_in_braces() {
        let options = RedisHistoryOptions::new("redis://host", Retention::default());
        assert_eq!(options.keys().unwrap().stream, "{tbx:history}:entries");
        assert!(options.with_prefix("{a}").keys().is_err());
    }
}
