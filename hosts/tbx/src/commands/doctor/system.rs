//! What the system gives: ports, file descriptors, the time.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};

use tbx_service::config::DatabaseUrl;
use tbx_service::{Config, limits};

use super::Finding;
use crate::commands::ask::ask;

/// Files of the process beside its connections: databases, logs, listeners.
const OTHER_FILES: u64 = 128;

/// No clock that is right shows less: 2026-01-01.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// File systems and clocks of other machines may be a little ahead.
const TOLERANCE: Duration = Duration::from_secs(120);

/// One finding for each listener. `owner`: a process owns the database, so it is expected to listen.
pub(super) fn ports(config: &Config, owner: bool) -> Vec<Finding> {
    let addresses = [
        ("api port", "TBX_API_LISTEN", config.api_listen),
        ("notifier port", "TBX_NOTIFIER_LISTEN", config.notifier_listen),
        ("worker port", "TBX_WORKER_LISTEN", config.worker_listen),
    ];
    let mut findings = Vec::new();
    for (index, (name, setting, address)) in addresses.into_iter().enumerate() {
        let twice = addresses[..index].iter().any(|(_, _, other)| *other == address && address.port() != 0);
        findings.push(match twice {
            true => Finding::fail(
                name,
                format!("{address} is given to two listeners"),
                format!("change {setting}"),
            ),
            false => port(name, setting, address, owner),
        });
    }
    findings
}

fn port(name: &'static str, setting: &str, address: SocketAddr, owner: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => {
            Finding::ok(name, format!("{address}, a free port is picked at each start"))
        }
        Ok(_) => Finding::ok(name, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_host(address) => {
            Finding::ok(name, format!("{address} is in use by a running host of TBX"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse && owner => Finding::ok(
            name,
            format!("{address} is in use, probably by the running process that owns the database"),
        ),
        Err(error) => Finding::fail(
            name,
            format!("{address} cannot be listened on ({error})"),
            format!("free it, or set {setting} to another address"),
        ),
    }
}

/// Whether who listens there answers as the hosts do.
fn is_host(address: SocketAddr) -> bool {
    ask(address, "/health/live").is_ok_and(|answer| answer.is_ok() && answer.body() == r#"{"status":"pass"}"#)
}

pub(super) fn open_files(config: &Config) -> Finding {
    files(limits::open_files(), config.max_connections as u64)
}

fn files(limit: Option<u64>, connections: u64) -> Finding {
    const NAME: &str = "open files";
    let needed = connections.saturating_mul(3).saturating_add(OTHER_FILES);
    match limit {
        None => Finding::ok(NAME, "the limit is not known on this system"),
        Some(limit) if limit >= needed => {
            Finding::ok(NAME, format!("{limit} may be open, {needed} are enough"))
        }
        Some(limit) => Finding::warn(
            NAME,
            format!(
                "{limit} may be open, and {connections} connections for each of three listeners need {needed}"
            ),
            format!(
                "raise it with `ulimit -n {needed}` or LimitNOFILE={needed}, or lower TBX_MAX_CONNECTIONS"
            ),
        ),
    }
}

pub(super) fn clock(config: &Config) -> Finding {
    let written = match &config.database_url {
        DatabaseUrl::Sqlite(path) => path.metadata().and_then(|about| about.modified()).ok(),
        // The check of the database compares clocks.
        DatabaseUrl::Postgres(_) => None,
    };
    time(SystemTime::now(), written)
}

fn time(now: SystemTime, written: Option<SystemTime>) -> Finding {
    const NAME: &str = "clock";
    let remedy = "set the clock of this machine, and keep it right with NTP";
    if now < SystemTime::UNIX_EPOCH + EARLIEST {
        return Finding::fail(NAME, "it shows a time before this program was written", remedy);
    }
    match written.and_then(|written| written.duration_since(now).ok()) {
        Some(ahead) if ahead > TOLERANCE => {
            let ahead = ahead.as_secs();
            Finding::warn(NAME, format!("the database was written {ahead} s in the future"), remedy)
        }
        _ => Finding::ok(NAME, "plausible"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_the_connections_warns_with_the_number_that_is_enough() {
        assert_eq!(files(Some(428), 100), Finding::ok("open files", "428 may be open, 428 are enough"));
        let warned = files(Some(427), 100).to_string();
        assert!(warned.starts_with("warn") && warned.contains("LimitNOFILE=428"), "{warned}");
        assert!(!files(None, 100).is_failure() && !files(Some(u64::MAX), u64::MAX).is_failure());
    }

    #[test]
    fn a_clock_that_is_behind_is_noticed() {
        let now = SystemTime::UNIX_EPOCH + EARLIEST;
        assert!(time(now - Duration::from_secs(1), None).is_failure());
        assert!(time(now, Some(now + TOLERANCE)).to_string().starts_with("ok"));
        let warned = time(now, Some(now + TOLERANCE * 2)).to_string();
        assert!(warned.starts_with("warn") && warned.contains("240 s in the future"), "{warned}");
    }

    #[test]
    fn a_port_that_is_taken_fails_unless_the_owner_runs() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failed = port("api port", "TBX_API_LISTEN", address, false);
        assert!(failed.is_failure() && failed.to_string().contains("TBX_API_LISTEN"), "{failed}");
        assert!(!port("api port", "TBX_API_LISTEN", address, true).is_failure());
    }
}
