//! `healthcheck`: asks a host of this machine whether it is ready, for containers that have no other program to ask with.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tbx_service::{Config, Failure};

/// For each step; whoever calls has a deadline of its own.
const TIMEOUT: Duration = Duration::from_secs(3);

/// As much of an answer as is read: the reason of a refusal.
const MAX_ANSWER: u64 = 4096;

/// Asks the host that listens at the address of `service`.
pub(crate) fn run(config: &Config, service: &str) -> Result<(), Failure> {
    let address = within_reach(match service {
        "api" => config.api_listen,
        "worker" => config.worker_listen,
        _ => config.notifier_listen,
    });
    let answer = ask(address)
        .map_err(|error| Failure::failed_because(format!("{address} does not answer: {error}")))?;
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => {
            let why = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
            Err(Failure::failed_because(format!("{service} is not ready: {}", why.trim())))
        }
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Without a host, since the address may have no name that is let in.
    stream.write_all(b"GET /health/ready HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
