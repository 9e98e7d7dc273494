//! Where a Redis is, and who is trusted to be it.

use percent_encoding::percent_decode_str;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisError, TlsCertificates};
use rustls::CertificateError;

use super::super::contract::HistoryError;
use super::error::failed;

/// The parameter that names a file of certificates.
const AUTHORITIES: &str = "cacertfile=";

/// The client for an address.
pub(super) fn client(url: &str) -> Result<Client, HistoryError> {
    let lasting = |what: String| HistoryError::new(what).lasting();
    let (url, authorities) = authorities(url);
    // The error of the driver is left out where it could repeat a part of the address.
    let info = url.as_str().into_connection_info().map_err(|_| {
        lasting("its address cannot be read; write redis://[user:password@]host[:port][/database]".to_owned())
    })?;
    let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if authorities.is_some() && !encrypted {
        return Err(lasting("its address has a `cacertfile`, which is for rediss:// alone".to_owned()));
    }
    let root_cert = match &authorities {
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            lasting(format!("the certificates of its authority cannot be read from {path}"))
                .with_source(error)
        })?),
        None => None,
    };
    if encrypted && rustls::crypto::CryptoProvider::get_default().is_none() {
        let what = "rediss:// needs a rustls crypto provider; install one when the program starts";
        return Err(lasting(what.to_owned()));
    }
    // Without it, small commands wait for the acknowledgement of those before.
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let info = info.set_tcp_settings(tcp);
    if root_cert.is_none() {
        return Client::open(info).map_err(|error| failed("reading its address", &error));
    }
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(info, certificates).map_err(|error| {
        lasting("the file of `cacertfile` has no certificates in PEM".to_owned()).with_source(error)
    })
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
        let (url, path) = authorities("rediss://h/1?protocol=resp3&cacertfile=/a%2Fb.pem");
        assert_eq!((url.as_str(), path.as_deref()), ("rediss://h/1?protocol=resp3", Some("/a/b.pem")));
        let (url, path) = authorities("rediss://h?cacertfile=a%20b+%C3%A9.pem");
        assert_eq!((url.as_str(), path.as_deref()), ("rediss://h", Some("a b+\u{e9}.pem")));
        assert_eq!(authorities("rediss://h"), ("rediss://h".to_owned(), None));
    }

    #[test]
    fn what_is_missing_for_tls_is_told() {
        let error = client("rediss://h?cacertfile=/not/there.pem").unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("/not/there.pem"), "{error}");
        assert!(client("redis://h?cacertfile=x").unwrap_err().to_string().contains("rediss://"));
        assert!(client("rediss://h").unwrap_err().to_string().contains("crypto provider"));
    }
}
