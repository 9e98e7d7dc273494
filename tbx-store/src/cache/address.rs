//! Where a Redis is, and who is trusted to be it.

use percent_encoding::percent_decode_str;
use redis::{Client, IntoConnectionInfo, RedisError, TlsCertificates};
use rustls::CertificateError;

use crate::{StoreError, StoreErrorKind};

/// The parameter that names a file of certificates.
const AUTHORITIES: &str = "cacertfile=";

/// The client for an address.
pub(super) fn client(url: &str) -> Result<Client, StoreError> {
    let invalid = |what: &str| StoreError::new(StoreErrorKind::Invalid, what.to_owned());
    let (url, authorities) = authorities(url);
    let unusable = |error: RedisError| {
        invalid("the address of the cache, which is redis://host:6379 or rediss://host:6379")
            .with_source(error)
    };
    let info = url.as_str().into_connection_info().map_err(unusable)?;
    let encrypted = url.starts_with("rediss:");
    if authorities.is_some() && !encrypted {
        return Err(invalid("the address of the cache has a `cacertfile`, which is for rediss:// alone"));
    }
    let root_cert = match &authorities {
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            invalid(&format!("the certificates of the cache's authority cannot be read from {path}"))
                .with_source(error)
        })?),
        None => None,
    };
    if encrypted && rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(invalid(
            "TLS to the cache needs a crypto provider; call rustls::crypto::ring::default_provider().install_default() first",
        ));
    }
    if root_cert.is_none() {
        return Client::open(info).map_err(unusable);
    }
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(info, certificates)
        .map_err(|error| invalid("the file of `cacertfile` has no certificates in PEM").with_source(error))
}

/// The address without the parameter that is ours, and the file that it names.
fn authorities(url: &str) -> (String, Option<String>) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (ours, others): (Vec<_>, Vec<_>) =
        query.split('&').partition(|parameter| parameter.starts_with(AUTHORITIES));
    let path = ours.first().map(|ours| &ours[AUTHORITIES.len()..]);
    let path = path.map(|path| percent_decode_str(path).decode_utf8_lossy().into_owned());
    let url = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    (url, path)
}

/// What to do about a certificate that is not accepted; `None` when that is not what is wrong.
pub(super) fn remedy(error: &RedisError) -> Option<&'static str> {
    // The driver shares its causes.
    type Shared = std::sync::Arc<dyn std::error::Error + Send + Sync>;
    let cause = std::error::Error::source(error)?.downcast_ref::<Shared>()?;
    let fault = cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = fault else {
        return Some("it does not speak TLS with us; check the port, and redis:// or rediss://");
    };
    Some(match why {
        CertificateError::UnknownIssuer => {
            "its certificate is signed by nobody who is trusted; give that of its authority as ?cacertfile=FILE in the address"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; give the host in the address the name that is in the certificate"
        }
        _ => "its certificate is not accepted; renew it, or correct the clocks",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_parameter_is_taken_out_and_others_stay() {
        let of = |url: &str| authorities(url);
        assert_eq!(of("rediss://h"), ("rediss://h".to_owned(), None));
        let encoded = of("rediss://h?cacertfile=/a%2Fb%20c+%C3%A9.pem");
        assert_eq!(encoded, ("rediss://h".to_owned(), Some("/a/b c+\u{e9}.pem".to_owned())));
        let (url, path) = of("rediss://h/1?protocol=resp3&cacertfile=a.pem");
        assert_eq!((url.as_str(), path.as_deref()), ("rediss://h/1?protocol=resp3", Some("a.pem")));
    }

    #[test]
    fn what_is_missing_for_tls_is_told() {
        let told = |url: &str| client(url).unwrap_err().to_string();
        assert!(told("rediss://h?cacertfile=/not/there.pem").contains("/not/there.pem"));
        assert!(told("redis://h?cacertfile=/not/there.pem").contains("rediss://"));
        assert!(told("rediss://h").contains("crypto provider"));
    }
}
