//! The one provider of cryptography of a process.

/// Installs *ring* for everything that speaks TLS: the drivers of broker, database and cache, and what sends telemetry. Each program calls it once, first.
pub fn install_crypto() {
    // Somebody else has done it before: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
