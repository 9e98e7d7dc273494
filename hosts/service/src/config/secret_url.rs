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
    let Some((scheme, rest)) = text.split_once("://") else { return masked_without_scheme(text) };
    // The last @: a password may have one that should have been escaped, and a ? or a / likewise.
    let Some((user, host)) = rest.rsplit_once('@') else {
        return format!("{scheme}://{}", without_query(rest));
    };
    let name = user.split([':', '@', '/', '?', '#']).next().unwrap_or_default();
    let secret = if name.len() == user.len() { "" } else { ":***" };
    // Past a ? nobody can say whether the @ ends a password or is within a parameter, and then what follows is a part of a secret.
    let host = if user.contains('?') { "***".to_owned() } else { without_query(host) };
    format!("{scheme}://{name}{secret}@{host}")
}

/// Of a URL that was mistyped nobody can say what before the `@` is a password.
fn masked_without_scheme(text: &str) -> String {
    match text.rsplit_once('@') {
        None => without_query(text),
        Some((user, _)) if user.contains('?') => "***".to_owned(),
        Some((_, host)) => format!("***@{}", without_query(host)),
    }
}

fn without_query(text: &str) -> String {
    match text.split_once('?') {
        Some((rest, _)) => format!("{rest}?***"),
        None => text.to_owned(),
    }
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
            ("redis://cache/0?password=x", "redis://cache/0?***"),
            ("postgres://u:pa?ss@h/db", "postgres://u:***@***"),
            ("postgres://u:p@a?ss@h/db", "postgres://u:***@***"),
            ("postgres://u:pa?ss@h/db?sslmode=require", "postgres://u:***@***"),
            ("postgres://u@h/db?password=pa@ss", "postgres://u:***@***"),
            ("postgres://u:pa/s#s@h/db", "postgres://u:***@h/db"),
            ("http://localhost:5000", "http://localhost:5000"),
            ("tbx:s3cret@db/tbx", "***@db/tbx"),
            ("amqp:/tbx:s3cret@h", "***@h"),
            ("redis:p@ss@cache?password=x", "***@cache?***"),
            ("db/tbx?user=u&password=pa@ss", "***"),
            ("db/tbx?password=x", "db/tbx?***"),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(format!("{:?}", SecretUrl::new(text)), format!("SecretUrl({shown})"));
        }
    }
}
