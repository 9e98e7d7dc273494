//! `api`, `worker`, `notifier`: one host as a process of its own.

use tbx_service::{Config, Failure};

pub(crate) async fn run(service: &'static str, config: Config) -> Result<(), Failure> {
    config.check_separate(service).map_err(|error| Failure::usage(&error))?;
    match service {
        "api" => tbx_api::host::run(&config).await,
        "worker" => tbx_worker::host::run(&config).await,
        _ => tbx_notifier::host::run(&config).await,
    }
}
