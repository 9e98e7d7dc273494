//! What the errors of the driver mean here, and what to do about them.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::super::contract::HistoryError;
use super::address;

/// An error of the driver as one of the history, with the remedy where there is one.
pub(super) fn failed(context: &str, error: &RedisError) -> HistoryError {
    let context = match remedy(error) {
        Some(remedy) => format!("{context}: {remedy}"),
        None => context.to_owned(),
    };
    let failed = HistoryError::new(context).with_source(error.clone());
    if is_lasting(error) { failed.lasting() } else { failed }
}

/// Whether somebody has to correct something first.
fn is_lasting(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || error.kind() == ErrorKind::InvalidClientConfig
        || address::remedy(error).is_some()
        || is_of_the_database(error)
        || matches!(
            error.code(),
            Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" | "CROSSSLOT" | "MOVED" | "ASK")
        )
}

/// Whether there is no database of the number in the address. The driver tells it by these words alone.
fn is_of_the_database(error: &RedisError) -> bool {
    error.to_string().contains("refused to switch database")
}

/// Whether the connection is of no use any more. An answer that did not come in time counts: the next one could be its answer, or none.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(
            error.kind(),
            // After a failover the name leads elsewhere.
            ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown
            )
        )
}

fn remedy(error: &RedisError) -> Option<&'static str> {
    if let Some(remedy) = address::remedy(error) {
        return Some(remedy);
    }
    if is_of_the_database(error) {
        return Some("it has no database of that number; correct the number at the end of the address");
    }
    if error.is_connection_refusal() {
        return Some("nothing listens there; start Redis, or correct host and port");
    }
    if error.is_timeout() {
        return Some("no answer in time; check host, port, firewall and the load of the server");
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => return Some(CREDENTIALS),
        ErrorKind::Io => return Some("it cannot be reached; check host and port, and redis:// or rediss://"),
        _ => {}
    }
    match error.code()? {
        "NOAUTH" | "WRONGPASS" => Some(CREDENTIALS),
        "DENIED" => Some("it is in protected mode; give it a password, or listen on the loopback alone"),
        "NOPERM" => Some(
            "its user may not do that; allow it the keys of the prefix, and +@read +@write +@connection +@scripting +time +info",
        ),
        "READONLY" => Some("it is a replica; name the primary"),
        "OOM" => Some("its memory is full; raise maxmemory, or keep fewer notifications"),
        "MISCONF" => Some("it cannot save to its disk and takes no writes; look at its log"),
        "LOADING" => Some("it is still loading its data; try again in a moment"),
        "CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN" => {
            Some("it is a node of a cluster, which is not supported; name a single server")
        }
        _ => None,
    }
}

const CREDENTIALS: &str = "it does not accept the user and password of the address; correct them";

/// Nobody agrees with the others on an epoch.
pub(super) fn contested() -> HistoryError {
    HistoryError::new("other processes change its epoch over and over; do they use different databases?")
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn each_refusal_names_its_remedy() {
        for (code, remedy) in [
            ("WRONGPASS", "correct them"),
            ("NOAUTH", "correct them"),
            ("OOM", "raise maxmemory"),
            ("MISCONF", "look at its log"),
        ] {
            let error = failed("appending", &redis::make_extension_error(code.to_owned(), None));
            assert!(error.to_string().contains(remedy), "{error}");
            assert!(error.source().unwrap().to_string().contains(code));
        }
    }
}
