//! Under which names a service answers.
//!
//! A page of somebody else's whose name was made to point here would otherwise be "the same origin" (DNS rebinding).

use std::net::IpAddr;

use http::{Version, header};
use poem::Request;

use super::authority::{Authority, HostName};
use crate::Problem;

/// Names that are answered to beside those of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    any: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Exactly(Authority),
    /// What follows the `*`, with its dot.
    Below(String, Option<u16>),
}

impl AllowedHosts {
    /// A list with commas; empty for none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut allowed = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                allowed.any = true;
                continue;
            }
            let below = entry.strip_prefix("*.");
            let authority = Authority::parse(below.unwrap_or(entry));
            let entry = match (authority, below) {
                (Some(Authority { host: HostName::Name(name), port }), Some(_)) => {
                    Entry::Below(format!(".{name}"), port)
                }
                (Some(authority), None) => Entry::Exactly(authority),
                _ => {
                    return Err(
                        "is no list of hosts; use names such as tbx.example.org, with commas between them, \
                         *.example.org for all below a name, or * for any"
                            .to_owned(),
                    );
                }
            };
            allowed.entries.push(entry);
        }
        Ok(allowed)
    }

    /// `own` is the address the request came in at.
    pub(super) fn allows(&self, authority: &Authority, own: Option<IpAddr>) -> bool {
        self.any || is_own(&authority.host, own) || self.entries.iter().any(|entry| entry.fits(authority))
    }
}

/// Whether it names this machine: a loopback name, or the very address the request came in at.
pub(super) fn is_own(host: &HostName, own: Option<IpAddr>) -> bool {
    let same = |own: IpAddr| *host == HostName::Ip(own.to_canonical());
    host.is_this_machine() || own.is_some_and(same)
}

impl Entry {
    fn fits(&self, authority: &Authority) -> bool {
        let (host, port) = match self {
            Self::Exactly(entry) => (entry.host == authority.host, entry.port),
            Self::Below(suffix, port) => {
                let below = |name: &String| name.ends_with(suffix.as_str());
                (matches!(&authority.host, HostName::Name(name) if below(name)), *port)
            }
        };
        host && (port.is_none() || port == authority.port)
    }
}

/// Who the request is for: the target's authority when it has one, else its `Host`. `None` for HTTP/1.0 without either.
///
/// See [RFC 9112, section 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2).
pub(super) fn addressed(request: &Request) -> Result<Option<Authority>, Problem> {
    let malformed = |detail: &str| Problem::new(http::StatusCode::BAD_REQUEST, "malformed-request", detail);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(malformed("The request has more than one Host header."));
    }
    let target = request.uri().authority();
    let Some(host) = host else {
        if request.version() >= Version::HTTP_11 {
            return Err(malformed("The request has no Host header."));
        }
        let target = target.map(|target| Authority::parse(target.as_str()));
        return target
            .map(|target| target.ok_or_else(|| malformed("The target's host cannot be read.")))
            .transpose();
    };
    let host = host.to_str().ok().and_then(Authority::parse);
    let host = host.ok_or_else(|| malformed("The Host header cannot be read."))?;
    match target {
        Some(target) => Authority::parse(target.as_str())
            .map(Some)
            .ok_or_else(|| malformed("The target's host cannot be read.")),
        None => Ok(Some(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(setting: &str, host: &str, own: Option<&str>) -> bool {
        let own = own.map(|own| own.parse().unwrap());
        AllowedHosts::parse(setting).unwrap().allows(&Authority::parse(host).unwrap(), own)
    }

    #[test]
    fn without_a_setting_only_this_machine_is_answered_for() {
        assert!(allows("", "localhost:1", None));
        assert!(allows("", "10.0.0.5:5000", Some("10.0.0.5")));
        assert!(allows("", "10.0.0.5", Some("::ffff:10.0.0.5")));
        assert!(!allows("", "10.0.0.6", Some("10.0.0.5")));
        assert!(!allows("", "example.org", Some("10.0.0.5")));
    }

    #[test]
    fn listed_names_are_answered_for_at_any_port_unless_one_is_named() {
        let setting = "tbx.example.org, *.pages.example.org,api.example.org:8443 ,[fd00::1]";
        for host in
            ["tbx.example.org", "TBX.example.org:99", "a.pages.example.org", "a.b.pages.example.org:1"]
        {
            assert!(allows(setting, host, None), "{host}");
        }
        assert!(allows(setting, "api.example.org:8443", None));
        assert!(allows(setting, "[fd00:0::1]:5000", None));
        for host in ["pages.example.org", "api.example.org", "x.tbx.example.org", "evilpages.example.org"] {
            assert!(!allows(setting, host, None), "{host}");
        }
        assert!(allows("a.example.org,*", "anything", None));
    }

    #[test]
    fn what_is_no_list_of_hosts_is_refused() {
        for setting in ["http://a.example", "a b", "*.", "*.10.0.0.1", "**", "a.*.b", "a/b"] {
            assert!(AllowedHosts::parse(setting).is_err(), "{setting}");
        }
    }
}
