//! The notifier as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    tbx_service::host_main("notifier", |config| async move { tbx_notifier::host::run(&config).await })
}
