//! The notifier as a process of its own.

use std::error::Error;
use std::process::ExitCode;

use tbx_service::config::{environment, parse_flags};
use tbx_service::{Config, chain};

const FAILED: u8 = 1;
const WRONG_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("tbx-notifier: {}", chain(error.as_ref()));
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<(), (u8, Box<dyn Error>)> {
    let config = configure().map_err(|error| (WRONG_CONFIGURATION, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (FAILED, error.into()))?;
    runtime.block_on(tbx_notifier::host::run(&config)).map_err(|error| (FAILED, error.into()))
}

fn configure() -> Result<Config, Box<dyn Error>> {
    let flags = parse_flags(std::env::args().skip(1))?;
    let config = Config::load(&flags, environment(), &std::env::current_dir()?)?.config;
    config.check_separate("notifier")?;
    tbx_service::logging::init(&config.log, config.log_format)?;
    Ok(config)
}
