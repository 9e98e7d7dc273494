//! Headers that take from browsers what our answers never need.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};

use super::authority::Authority;

/// Marks an answer; an HTML page gets a policy, unless it brings its own.
pub(super) fn secure(headers: &mut HeaderMap, host: Option<&Authority>, own_ports: &[u16]) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if is_html(headers)
        && !headers.contains_key(header::CONTENT_SECURITY_POLICY)
        && let Ok(policy) = HeaderValue::try_from(page_policy(host, own_ports))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html")
}

/// Scripts and styles are files of ours, nothing is inline; pages may connect to all listeners of the host they came from.
fn page_policy(host: Option<&Authority>, own_ports: &[u16]) -> String {
    let mut connect = String::from("'self'");
    if let Some(host) = host.map(|authority| &authority.host) {
        for port in own_ports {
            let _ = write!(connect, " http://{host}:{port} ws://{host}:{port}");
        }
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {connect}; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secured(kind: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).unwrap());
        secure(&mut headers, Authority::parse("localhost:5000").as_ref(), &[5000, 5001]);
        headers
    }

    #[test]
    fn a_page_gets_a_policy_and_data_does_not() {
        let page = secured("Text/HTML; charset=utf-8");
        assert_eq!(
            page[header::CONTENT_SECURITY_POLICY],
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self' http://localhost:5000 ws://localhost:5000 http://localhost:5001 ws://localhost:5001; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        );
        let data = secured("application/json");
        assert_eq!(data.get(header::CONTENT_SECURITY_POLICY), None);
        for headers in [page, data] {
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        }
    }
}
