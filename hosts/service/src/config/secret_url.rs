//! URLs that may hold a password.

use std::fmt;

/// A URL that is shown without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The whole text, for the driver that connects with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

/// Hides the password of a URL, and what follows a `?`, where drivers take passwords too.
pub(super) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    // The last @ of the authority: a password may have one that should have been escaped.
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            let secret = if name.len() == user.len() { "" } else { ":***" };
            format!("{name}{secret}@{host}")
        }
        None => rest.to_owned(),
    };
    format!("{scheme}://{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        for (text, shown) in [
            ("sqlite:data/tbx.db", "sqlite:data/tbx.db"),
            ("amqp://guest:guest@rabbit:5672/%2f", "amqp://guest:***@rabbit:5672/%2f"),
            ("redis://:p@ss@cache", "redis://:***@cache"),
            ("postgres://user@db/tbx?password=x", "postgres://user@db/tbx?***"),
            ("http://localhost:5000", "http://localhost:5000"),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(format!("{:?}", SecretUrl::new(text)), format!("SecretUrl({shown})"));
        }
    }
}
