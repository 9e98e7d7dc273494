//! `api`, `worker`, `notifier`: one host as a process of its own.

use tbx_service::Config;

use crate::exit::Failure;

pub(crate) async fn run(service: &'static str, config: Config) -> Result<(), Failure> {
    config.check_separate(service).map_err(|error| Failure::usage(&error))?;
    match service {
        "notifier" => tbx_notifier::host::run(&config).await.map_err(|error| Failure::failed(&error)),
        // The check refuses these with the reason; there is no configuration of this version that lets them run.
        _ => Err(Failure::failed_because(format!(
            "the {service} cannot run as a process of its own in this version"
        ))),
    }
}
