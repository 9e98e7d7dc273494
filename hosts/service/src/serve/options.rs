//! What the loop allows a connection.

use std::time::Duration;

use crate::Config;

/// Limits of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// Sockets open at a time, upgraded ones included; 15 000 by default. Each costs a file descriptor and
    /// some 12 KiB when idle. Above it clients wait in the kernel's backlog.
    pub max_connections: usize,
    /// Longest wait for a complete request head, also for the first byte of the next one on a connection
    /// that is kept alive; 10 s by default.
    pub header_timeout: Duration,
    /// What a stop leaves running requests, streams and upgraded sockets; 20 s by default.
    pub drain_timeout: Duration,
    /// Longest time a write may wait for the client to read; 10 s by default. Raising it keeps the buffers of
    /// dead readers longer.
    pub write_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 15_000,
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(10),
        }
    }
}

impl From<&Config> for ServeOptions {
    fn from(config: &Config) -> Self {
        Self {
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            drain_timeout: config.drain_timeout,
            write_timeout: Self::default().write_timeout,
        }
    }
}
