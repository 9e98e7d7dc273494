//! The api as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    tbx_service::host_main("api", |config| async move { tbx_api::host::run(&config).await })
}
