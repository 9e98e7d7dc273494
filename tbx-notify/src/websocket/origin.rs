//! From which pages a browser may connect.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// From which pages a browser may connect. Browsers let any page open a WebSocket anywhere, cookies included, and only say which page it was
/// ([RFC 6455, section 10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)). Clients that are no browsers say nothing and are let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Pages of the host that the request names.
    #[default]
    SameHost,
    /// These, such as `https://app.example.org`, and pages of the host that the request names.
    Listed(Vec<String>),
    /// Any: for services that check before, or that tell nothing to be kept from anyone.
    Any,
}

impl Origins {
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let listed = match self {
            Self::Any => return true,
            Self::SameHost => false,
            Self::Listed(origins) => origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin)),
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        listed || matches!((authority, host), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_of_another_host_is_refused_unless_listed() {
        let headers = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("here.example:8080"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            headers
        };
        let listed = Origins::Listed(vec!["https://app.example".to_owned()]);
        for (origin, same, list) in [
            (None, true, true),
            (Some("http://here.example:8080"), true, true),
            (Some("http://here.example"), false, false),
            (Some("https://app.example"), false, true),
            (Some("https://evil.example"), false, false),
            (Some("null"), false, false),
        ] {
            assert_eq!(Origins::SameHost.allow(&headers(origin)), same, "{origin:?}");
            assert_eq!(listed.allow(&headers(origin)), list, "{origin:?}");
            assert!(Origins::Any.allow(&headers(origin)));
        }
    }
}
