//! `healthcheck`: asks a host of this machine whether it is ready, for containers that have no other program to ask with.

use tbx_service::{Config, Failure};

use super::ask::ask;

/// Asks the host that listens at the address of `service`.
pub(crate) fn run(config: &Config, service: &str) -> Result<(), Failure> {
    let address = match service {
        "api" => config.api_listen,
        "worker" => config.worker_listen,
        _ => config.notifier_listen,
    };
    let answer = ask(address, "/health/ready")
        .map_err(|error| Failure::failed_because(format!("{address} does not answer: {error}")))?;
    if answer.is_ok() {
        Ok(())
    } else {
        Err(Failure::failed_because(format!("{service} is not ready: {}", answer.body())))
    }
}
