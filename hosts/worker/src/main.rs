//! The worker as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    tbx_service::host_main("worker", |config| async move { tbx_worker::host::run(&config).await })
}
