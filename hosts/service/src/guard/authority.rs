//! `host[:port]`, compared by meaning.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Who a request is for, or where a page came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: HostName,
    pub(super) port: Option<u16>,
}

/// The host of an [`Authority`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostName {
    /// In lower case, without the dot of the root.
    Name(String),
    /// An IPv6 address that stands for an IPv4 address is that address.
    Ip(IpAddr),
}

impl Authority {
    /// `None` for what is neither a name nor an address, and for user names, which no request may have.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (HostName::Ip(IpAddr::V6(address).to_canonical()), port.strip_prefix(':').or(some_end(port))?)
            }
            None => {
                let (host, port) = text.split_once(':').unwrap_or((text, ""));
                (HostName::parse(host)?, port)
            }
        };
        let port = match port {
            "" => None,
            port if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            _ => return None,
        };
        Some(Self { host, port })
    }
}

/// Nothing may follow an address but its port.
fn some_end(rest: &str) -> Option<&str> {
    rest.is_empty().then_some(rest)
}

impl HostName {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            // An IPv6 address has brackets here.
            return address.is_ipv4().then_some(Self::Ip(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = !name.is_empty() && name.len() <= 253 && name.bytes().all(plain);
        let whole = !name.split('.').any(str::is_empty);
        (fits && whole).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Whether it names this machine wherever it is written: a loopback name, or the address that listeners on all addresses show.
    pub(super) fn is_this_machine(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ip(address) => address.is_loopback() || address.is_unspecified(),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_host_are_equal() {
        for (one, other) in [
            ("LocalHost", "localhost."),
            ("example.org:80", "EXAMPLE.ORG:080"),
            ("[::1]:5000", "[0:0:0:0:0:0:0:1]:5000"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("localhost:", "localhost"),
        ] {
            assert_eq!(Authority::parse(one).unwrap(), Authority::parse(other).unwrap(), "{one} {other}");
        }
        assert_eq!(Authority::parse("[::1]").unwrap().host.to_string(), "[::1]");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "user@host",
            "host:port",
            "host:65536",
            "host:+1",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:x",
            "a..b",
            ".a",
            "a%2eb",
            "hö.example",
            "[v1.x]",
            "*",
            "a:1:2",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_its_names() {
        let own = |text| Authority::parse(text).unwrap().host.is_this_machine();
        for text in [
            "localhost",
            "a.localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0:1",
            "[::]",
        ] {
            assert!(own(text), "{text}");
        }
        for text in [
            "localhost.example.org",
            "notlocalhost",
            "127.0.0.1.example.org",
            "128.0.0.1",
            "127.1",
            "0.0.0.1",
        ] {
            assert!(!own(text), "{text}");
        }
    }
}
