//! One HTTP request at a time: connect, send, read the answer, close.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;

use super::TelemetryError;

type Failed = Box<dyn Error + Send + Sync>;

/// Most bytes of an answer that are read; it says little.
const MAX_ANSWER: usize = 64 << 10;

/// Sends batches. They come seconds apart, so none of its connections is kept.
pub(super) struct Sender {
    timeout: Duration,
    tls: Option<TlsConnector>,
}

impl Sender {
    /// A sender whose requests may take as long as `timeout`, the answer included.
    pub(super) fn new(timeout: Duration, needs_tls: bool) -> Result<Self, TelemetryError> {
        Ok(Self { timeout, tls: needs_tls.then(tls).transpose()? })
    }

    /// Sends a request to its absolute address.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends the connection; the request may have arrived.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        }
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        let uri = std::mem::take(request.uri_mut());
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err("the address has no host".into());
        };
        // An address of IPv6 is in brackets within a URI, and without them elsewhere.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
        *request.uri_mut() = Uri::builder().path_and_query(path(&uri)).build()?;
        let socket = TcpStream::connect((host, port)).await?;
        match &self.tls {
            Some(tls) if secure => {
                let name = ServerName::try_from(host.to_owned())?;
                over(TokioIo::new(tls.connect(name, socket).await?), request).await
            }
            None if secure => Err("it was not set up for https".into()),
            _ => over(TokioIo::new(socket), request).await,
        }
    }
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

async fn over<C>(connection: C, request: Request<Bytes>) -> Result<Response<Bytes>, Failed>
where
    C: Read + Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(connection).await?;
    // Its failure is the failure of the request.
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// TLS with the certificates that the system trusts, or those in `SSL_CERT_FILE`.
fn tls() -> Result<TlsConnector, TelemetryError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let message = "OTEL_EXPORTER_OTLP_ENDPOINT: https needs certificates to trust, and none were found; install \
                       the package ca-certificates or name a file in SSL_CERT_FILE";
        return Err(TelemetryError::Setting(message.to_owned()));
    }
    // Named here, because libraries of the process may bring others and leave the choice open.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TelemetryError::Exporter(Box::new(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
