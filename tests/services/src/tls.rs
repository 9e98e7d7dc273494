//! TLS in front of a server that has none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// An authority that signs certificates, and that nobody trusts unless told to. Each one is another.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A fresh one.
    ///
    /// # Panics
    ///
    /// Never in practice.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, crate::fresh_name());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, by which a client trusts it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What a server shows that is called `name`, a host or an address.
    fn config_for(&self, name: &str) -> ServerConfig {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        // Named, so that it does not matter which provider the test has installed.
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap()
    }
}

/// Speaks TLS with clients and passes what they say on to a server in the clear. Dropped, it ends every connection.
///
/// A client of PostgreSQL first asks in the clear whether it may speak TLS, and is told that it may. What is to be counted, cut or delayed goes
/// through a [`Relay`](crate::Relay) before or behind it.
#[derive(Debug)]
pub struct TlsRelay {
    address: SocketAddr,
    task: AbortHandle,
}

impl TlsRelay {
    /// A relay to `upstream` at a free port of 127.0.0.1, with a certificate of `authority` for `name`, a host or an address.
    ///
    /// # Panics
    ///
    /// When there is no free port, or the name is none.
    #[must_use]
    pub async fn start(upstream: SocketAddr, authority: &Authority, name: &str) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(authority.config_for(name)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(accept(listener, acceptor, upstream)).abort_handle();
        Self { address, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, upstream: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        let acceptor = acceptor.clone();
        // A client that does not trust us ends it, as it should.
        connections.spawn(async move { forward(client, acceptor, upstream).await });
    }
}

/// What a client of PostgreSQL asks first
/// ([SSLRequest](https://www.postgresql.org/docs/current/protocol-message-formats.html)).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

async fn forward(mut client: TcpStream, acceptor: TlsAcceptor, upstream: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut first = [0];
    client.peek(&mut first).await?;
    // TLS begins otherwise.
    if first[0] == SSL_REQUEST[0] {
        let mut asked = [0; SSL_REQUEST.len()];
        client.read_exact(&mut asked).await?;
        if asked != SSL_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
