//! As much of a URL as test servers have.

use std::net::{SocketAddr, ToSocketAddrs};

/// `scheme://[user[:password]@]host[:port][/path]`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    /// As written, with the `@`.
    pub(crate) credentials: String,
    pub(crate) authority: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").expect("the address of a test server is a URL");
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (format!("{credentials}@"), authority),
            None => (String::new(), authority),
        };
        Self { scheme: scheme.to_owned(), credentials, authority: authority.to_owned() }
    }

    pub(crate) fn user_and_password(&self) -> (&str, &str) {
        let credentials = self.credentials.trim_end_matches('@');
        credentials.split_once(':').unwrap_or((credentials, ""))
    }

    /// Where it listens; `port` unless the URL has one.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        let authority = match self.authority.contains(':') {
            true => self.authority.clone(),
            false => format!("{}:{port}", self.authority),
        };
        authority.to_socket_addrs().unwrap().next().expect("the name of a test server can be resolved")
    }

    /// The same server, with a path, reached at `address`.
    pub(crate) fn at(&self, address: SocketAddr, path: &str) -> String {
        format!("{}://{}{address}/{path}", self.scheme, self.credentials)
    }

    pub(crate) fn with_path(&self, path: &str) -> String {
        format!("{}://{}{}/{path}", self.scheme, self.credentials, self.authority)
    }
}

/// The same URL with another password, and with another user if one is given.
///
/// # Panics
///
/// When that changes nothing, or there are no credentials in it.
#[must_use]
pub fn with_credentials(url: &str, user: Option<&str>, password: &str) -> String {
    let old = Url::parse(url);
    let user = user.unwrap_or_else(|| old.user_and_password().0);
    let new = url.replacen(&format!("://{}", old.credentials), &format!("://{user}:{password}@"), 1);
    assert!(!old.credentials.is_empty() && new != url, "the URL of a test server: no credentials to replace");
    new
}

#[cfg(test)]
mod tests {
    use super::with_credentials;

    #[test]
    fn credentials_give_way_to_others_whatever_they_are() {
        let url = "postgres://root:p@ss@db:5432/app?note=root:p@ss@";
        for (user, new) in [(None, "root:x@"), (Some("me"), "me:x@")] {
            let expected = format!("postgres://{new}db:5432/app?note=root:p@ss@");
            assert_eq!(with_credentials(url, user, "x"), expected);
        }
        assert_eq!(with_credentials("redis://:tbx@cache", None, "x"), "redis://:x@cache");
    }

    #[test]
    #[should_panic(expected = "no credentials to replace")]
    fn a_url_without_credentials_is_not_taken_for_one_with_others() {
        let _ = with_credentials("redis://cache/1", None, "x");
    }

    #[test]
    #[should_panic(expected = "no credentials to replace")]
    fn credentials_that_are_the_same_are_no_others() {
        let _ = with_credentials("redis://:x@cache/1", None, "x");
    }
}
