//! TBX: api, worker and notifier in one process, and the admin commands.

mod all_in_one;
mod cli;
mod commands;
mod embedded;
mod exit;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::Command;
use crate::exit::Failure;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run() -> Result<(), Failure> {
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
        return std::io::stdout()
            .write_all(loaded.render().as_bytes())
            .map_err(|error| Failure::failed(&error));
    }
    let config = loaded.config;
    tbx_service::logging::init(&config.log, config.log_format).map_err(|error| Failure::usage(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))?;
    runtime.block_on(async {
        match command {
            Command::AllInOne => {
                config.check_together().map_err(|error| Failure::usage(&error))?;
                all_in_one::run(&config).await
            }
            Command::Config | Command::OpenApi(_) => Ok(()),
            Command::Separate(service) => commands::separate::run(service, config).await,
            Command::Migrate => commands::migrate::run(&config).await,
            Command::MigrateStatus => commands::migrate::status(&config).await,
            Command::DeadLetters(letters) => commands::dead_letters::run(&config, letters).await,
            Command::Doctor => commands::doctor::run(&config).await,
            Command::Seed(seed) => commands::seed::run(&config, seed).await,
        }
    })
}
