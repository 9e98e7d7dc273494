//! TBX: api, worker and notifier in one process, and the admin commands.

mod all_in_one;
mod cli;
mod commands;

use std::io::Write;
use std::process::ExitCode;

use tbx_service::{Config, Failure, Telemetry};

use crate::cli::Command;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("tbx"),
    }
}

fn run() -> Result<(), Failure> {
    tbx_service::install_crypto();
    let (command, loaded) = cli::read()?;
    if let Command::OpenApi(host) = command {
        // The documents are the same under all settings, wrong ones included.
        return commands::openapi::run(host);
    }
    let loaded = match loaded {
        Err(error) if matches!(command, Command::Doctor) => {
            return commands::doctor::without_configuration(&error);
        }
        loaded => loaded.map_err(|error| Failure::usage(&error))?,
    };
    if matches!(command, Command::Config) {
        // Shown all the same: where a wrong value comes from is what one wants to see.
        std::io::stdout().write_all(loaded.render().as_bytes()).map_err(|error| Failure::failed(&error))?;
        return Ok(tbx_backends::check_urls(&loaded.config)?);
    }
    let config = loaded.config;
    if let Command::HealthCheck(service) = command {
        return commands::healthcheck::run(&config, &service);
    }
    let telemetry = begin_telling(&command, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))?;
    let done = runtime.block_on(async {
        match command {
            Command::AllInOne => {
                config.check_together().map_err(|error| Failure::usage(&error))?;
                all_in_one::run(&config).await
            }
            Command::Config | Command::OpenApi(_) | Command::HealthCheck(_) => Ok(()),
            Command::Separate(service) => commands::separate::run(service, config).await,
            Command::Migrate => commands::migrate::run(&config).await,
            Command::MigrateStatus => commands::migrate::status(&config).await,
            Command::DeadLetters(letters) => commands::dead_letters::run(&config, letters).await,
            Command::Doctor => commands::doctor::run(&config).await,
            Command::Seed(seed) => commands::seed::run(&config, seed).await,
        }
    });
    if let Some(telemetry) = telemetry {
        telemetry.end();
    }
    // A start that was broken off may have left somebody asking for the address of a server, whom nobody waits for.
    runtime.shutdown_background();
    done
}

/// Begins logging. What serves exports too; a command tells its user and is done.
fn begin_telling(command: &Command, config: &Config) -> Result<Option<Telemetry>, Failure> {
    let service = match command {
        Command::AllInOne => "tbx",
        Command::Separate("api") => "tbx-api",
        Command::Separate("worker") => "tbx-worker",
        Command::Separate(_) => "tbx-notifier",
        _ => {
            let begun = tbx_service::logging::init(&config.log, config.log_format);
            return begun.map(|()| None).map_err(|error| Failure::usage(&error));
        }
    };
    Telemetry::begin(service, config).map(Some).map_err(|error| Failure::usage(&error))
}
