//! The `main` of a host that is a process of its own.

use std::process::ExitCode;

use crate::config::{environment, parse_flags};
use crate::{Config, Failure, Telemetry, help, install_crypto, tell};

/// Reads the settings, sets up the log, and runs `host` on a runtime of several threads until it ends; or answers `--help` or `--version`. `service` is
/// `api`, `worker` or `notifier`; the program is `tbx-` and that.
pub fn host_main<F>(service: &'static str, host: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    let program = match service {
        "api" => "tbx-api",
        "worker" => "tbx-worker",
        _ => "tbx-notifier",
    };
    match run(service, program, host) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(program),
    }
}

fn run<F>(service: &str, program: &'static str, host: impl FnOnce(Config) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(answer) = help::answer(service, program, &arguments) {
        tell(answer);
        return Ok(());
    }
    install_crypto();
    let flags = parse_flags(arguments).map_err(|error| Failure::usage(&error))?;
    let working_dir = std::env::current_dir().map_err(|error| Failure::failed(&error))?;
    let loaded = Config::load(&flags, environment(), &working_dir).map_err(|error| Failure::usage(&error))?;
    let config = loaded.config;
    config.check_separate(service).map_err(|error| Failure::usage(&error))?;
    let telemetry = Telemetry::begin(program, &config).map_err(|error| Failure::usage(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))?;
    let ended = runtime.block_on(host(config));
    telemetry.end();
    // A start that was broken off may have left somebody asking for the address of a server, whom nobody waits for.
    runtime.shutdown_background();
    ended
}
