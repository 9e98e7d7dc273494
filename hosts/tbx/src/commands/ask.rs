//! One question to a host of this machine.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// For the whole answer; whoever calls has a deadline of its own.
const TIMEOUT: Duration = Duration::from_secs(3);

/// As much of an answer as is read: the reason of a refusal.
const MAX_ANSWER: usize = 4096;

/// What a host said.
#[derive(Debug)]
pub(super) struct Answer {
    text: String,
}

impl Answer {
    /// Whether it says 200.
    pub(super) fn is_ok(&self) -> bool {
        self.text.starts_with("HTTP/") && self.text.split(' ').nth(1) == Some("200")
    }

    /// What comes after the head, or all that there is.
    pub(super) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or(self.text.as_str(), |(_, body)| body).trim()
    }
}

/// Asks whoever listens at an address for `path`.
pub(super) fn ask(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let deadline = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&within_reach(address), TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Without a host, since the address may have no name that is let in.
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while answer.len() < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::from(ErrorKind::TimedOut));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(Answer { text: String::from_utf8_lossy(&answer).into_owned() })
}

/// Who listens on every address is asked on that of this machine.
fn within_reach(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
