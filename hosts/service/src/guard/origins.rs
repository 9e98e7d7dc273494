//! From which pages a browser may call.

use std::net::IpAddr;

use super::authority::Authority;
use super::hosts::is_own;

/// Origins of pages that may call beside our own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    entries: Vec<Origin>,
}

/// A scheme and who is behind it, the port always told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    authority: Authority,
}

/// What of the request decides about its origin.
pub(super) struct Called<'a> {
    pub(super) host: Option<&'a Authority>,
    pub(super) own: Option<IpAddr>,
    pub(super) own_ports: &'a [u16],
}

/// How a page stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The very same scheme, host and port.
    Same,
    /// Another that may call.
    Allowed,
    Foreign,
}

impl AllowedOrigins {
    /// A list with commas; empty for none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut allowed = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                allowed.any = true;
            } else {
                allowed.entries.push(Origin::parse(entry).ok_or(
                    "is no list of origins; use SCHEME://HOST or SCHEME://HOST:PORT without a path, such as \
                     https://tbx.example.org, with commas between them, or * for any",
                )?);
            }
        }
        Ok(allowed)
    }

    /// `*` allows the origin `null` too, which is that of a file or of a sandboxed frame.
    pub(super) fn standing(&self, origin: &str, called: &Called<'_>) -> Standing {
        let origin = Origin::parse(origin);
        if origin.as_ref().is_some_and(|origin| origin.is_same(called.host)) {
            return Standing::Same;
        }
        let listed = |origin: &Origin| self.entries.contains(origin) || origin.is_ours(called);
        if self.any || origin.is_some_and(|origin| listed(&origin)) {
            Standing::Allowed
        } else {
            Standing::Foreign
        }
    }
}

impl Origin {
    /// `None` for `null` and for what is no origin.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let named =
            scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if scheme.is_empty() || !named {
            return None;
        }
        let (scheme, mut authority) = (scheme.to_ascii_lowercase(), Authority::parse(rest)?);
        authority.port = authority.port.or(default_port(&scheme));
        Some(Self { scheme, authority })
    }

    /// A `Host` does not tell the scheme; a proxy in front of us may have taken TLS off. So the page's counts.
    fn is_same(&self, host: Option<&Authority>) -> bool {
        let (Some(host), Some(default)) = (host, default_port(&self.scheme)) else { return false };
        self.authority.host == host.host && self.authority.port == Some(host.port.unwrap_or(default))
    }

    /// A page of another listener of ours on this machine.
    fn is_ours(&self, called: &Called<'_>) -> bool {
        default_port(&self.scheme).is_some()
            && is_own(&self.authority.host, called.own)
            && self.authority.port.is_some_and(|port| called.own_ports.contains(&port))
    }
}

/// Also tells the schemes that our pages may have.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(setting: &str, origin: &str, host: &str) -> Standing {
        let (host, own) = (Authority::parse(host), Some("10.0.0.5".parse().unwrap()));
        let called = Called { host: host.as_ref(), own, own_ports: &[5000, 5001] };
        AllowedOrigins::parse(setting).unwrap().standing(origin, &called)
    }

    #[test]
    fn the_same_host_and_port_are_the_same_origin() {
        for (origin, host) in [
            ("http://localhost:5000", "localhost:5000"),
            ("http://tbx.example.org", "TBX.example.org"),
            ("https://tbx.example.org", "tbx.example.org"),
            ("https://tbx.example.org", "tbx.example.org:443"),
            ("HTTP://tbx.example.org:80", "tbx.example.org"),
        ] {
            assert_eq!(standing("", origin, host), Standing::Same, "{origin} {host}");
        }
    }

    #[test]
    fn pages_of_our_other_listeners_may_call() {
        for origin in
            ["http://localhost:5000", "http://127.0.0.1:5001", "http://10.0.0.5:5000", "https://[::1]:5000"]
        {
            assert_eq!(standing("", origin, "localhost:9"), Standing::Allowed, "{origin}");
        }
    }

    #[test]
    fn everybody_else_is_foreign_unless_listed() {
        for origin in [
            "null",
            "",
            "http://localhost:8080",
            "http://evil.example:5000",
            "http://10.0.0.6:5000",
            "http://localhost",
            "file://",
            "chrome-extension://localhost:5000",
            "http://localhost:5000/",
            "http://localhost:5000, http://localhost:5000",
            "http://user@localhost:5000",
            "localhost:5000",
            "http://localhost.evil.example:5000",
            "https://localhost:9@evil.example",
        ] {
            assert_eq!(standing("", origin, "localhost:9"), Standing::Foreign, "{origin}");
        }
        let setting = "https://app.example.org, http://dev.example.org:8080,chrome-extension://abcdef";
        for origin in [
            "https://app.example.org",
            "https://APP.example.org:443",
            "http://dev.example.org:8080",
            "chrome-extension://abcdef",
        ] {
            assert_eq!(standing(setting, origin, "localhost:9"), Standing::Allowed, "{origin}");
        }
        for origin in
            ["http://app.example.org", "https://app.example.org:8443", "http://dev.example.org", "null"]
        {
            assert_eq!(standing(setting, origin, "localhost:9"), Standing::Foreign, "{origin}");
        }
        assert_eq!(standing("*", "null", "localhost:9"), Standing::Allowed);
    }

    #[test]
    fn what_is_no_list_of_origins_is_refused() {
        for setting in
            ["app.example.org", "https://app.example.org/", "https://*.example.org", "null", "https://"]
        {
            assert!(AllowedOrigins::parse(setting).is_err(), "{setting}");
        }
    }
}
