//! `doctor`: can every configured part be reached, and is it set up right? Looks without changing anything.

mod exposure;
mod finding;
mod servers;
mod storage;
mod system;
mod telemetry;

use std::io::Write as _;

use tbx_service::{Config, ConfigError, Failure, chain};

use self::finding::Finding;

/// The check of what was configured, as far as nobody need be asked.
const CONFIGURATION: &str = "configuration";

/// Prints a line for each check.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let usable = match tbx_backends::check_urls(config) {
        Ok(()) => config.check_together().map_err(|error| error.to_string()),
        Err(error) => Err(chain(&error)),
    };
    let together = match usable {
        Ok(()) => Finding::ok(CONFIGURATION, "every setting can be used; `tbx config` shows them"),
        Err(why) => Finding::fail(CONFIGURATION, why, "change the setting"),
    };
    let (database, owner) = storage::database(config).await;
    let mut findings = vec![together, database, storage::history(config).await];
    findings.extend(servers::bus(config).await);
    findings.extend(servers::cache(config).await);
    findings.extend(system::ports(config, owner));
    findings.push(system::open_files(config));
    findings.push(system::clock(config));
    findings.push(exposure::check(config));
    findings.extend(telemetry::check().await);
    tell(&findings)
}

/// A configuration that cannot be read leaves nothing else to look at.
pub(crate) fn without_configuration(error: &ConfigError) -> Result<(), Failure> {
    tell(&[Finding::fail(CONFIGURATION, error.to_string(), "correct it, then run doctor again")])
}

fn tell(findings: &[Finding]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    for finding in findings {
        // Nobody may be reading; the exit code still tells.
        let _ = writeln!(stdout, "{finding}");
    }
    let failed: Vec<_> = findings.iter().filter(|finding| finding.is_failure()).collect();
    let told = match failed.len() {
        0 => return Ok(()),
        1 => "one check failed".to_owned(),
        many => format!("{many} checks failed"),
    };
    // As with every command: whoever configured it is wrong, or something else is.
    let is_wrong_use = failed.iter().any(|finding| finding.name() == CONFIGURATION);
    Err(if is_wrong_use { Failure::usage_because(told) } else { Failure::failed_because(told) })
}
