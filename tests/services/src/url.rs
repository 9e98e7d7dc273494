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
