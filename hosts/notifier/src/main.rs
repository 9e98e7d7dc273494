//! The notifier as a process of its own.

use std::error::Error;
use std::process::ExitCode;

use tbx_service::Config;
use tbx_service::config::{environment, parse_flags};

const FAILED: u8 = 1;
const WRONG_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            eprintln!("tbx-notifier: {text}");
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
