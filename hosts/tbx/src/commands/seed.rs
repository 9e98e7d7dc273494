//! `seed`: students with made-up names, the same for the same seed.

use std::io::IsTerminal as _;
use std::sync::Arc;

use chrono::Utc;
use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use tbx_backends::Storage;
use tbx_core::{Context, CreateStudentHandler, NoCache, StudentInput, UseCaseError};
use tbx_service::{Config, Failure, tell};

/// What to create.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    pub(crate) count: u64,
    pub(crate) rng_seed: u64,
}

const FIRST_NAMES: [&str; 24] = [
    "Ada",
    "Alan",
    "Annie",
    "Barbara",
    "Chien-Shiung",
    "Dennis",
    "Dorothy",
    "Edsger",
    "Emmy",
    "Frances",
    "Grace",
    "Hedy",
    "John",
    "Karen",
    "Katherine",
    "Ken",
    "Leslie",
    "Lise",
    "Margaret",
    "Niklaus",
    "Radia",
    "Rosalind",
    "Sophie",
    "Tim",
];
const LAST_NAMES: [&str; 24] = [
    "Allen",
    "Backus",
    "Dijkstra",
    "Easley",
    "Franklin",
    "Goldberg",
    "Hamilton",
    "Hopper",
    "Johnson",
    "Jones",
    "Kernighan",
    "Lamarr",
    "Lamport",
    "Liskov",
    "Lovelace",
    "Meitner",
    "Noether",
    "Perlman",
    "Ritchie",
    "Thompson",
    "Turing",
    "Vaughan",
    "Wilson",
    "Wirth",
];

/// Creates the students through the use case, so that each leaves its event. Those that are there already, by their email, are left alone.
pub(crate) async fn run(config: &Config, seed: Seed) -> Result<(), Failure> {
    let storage = Storage::open(config, "tbx seed").await?;
    let create = CreateStudentHandler::new(storage.students(), Arc::new(NoCache));
    let mut random = Rng::with_seed(seed.rng_seed);
    let (mut created, mut known) = (0_u64, 0_u64);
    let progress = progress(seed.count, std::io::stderr().is_terminal());
    for number in 1..=seed.count {
        let first_name = FIRST_NAMES[random.usize(..FIRST_NAMES.len())];
        let last_name = LAST_NAMES[random.usize(..LAST_NAMES.len())];
        let email =
            format!("{first_name}.{last_name}.{}-{number}@example.com", seed.rng_seed).to_ascii_lowercase();
        let input =
            StudentInput { first_name: Some(first_name), last_name: Some(last_name), email: Some(&email) };
        let command = input.create().map_err(|error| Failure::failed(&error))?;
        match create.execute(&Context::new(Utc::now()), command).await {
            Ok(_) => created += 1,
            Err(UseCaseError::EmailTaken) => known += 1,
            Err(error) => {
                progress.abandon();
                return Err(Failure::failed(&error));
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    storage.close().await;
    tell(format_args!("{created} students created, {known} were there already."));
    Ok(())
}

/// For people only: without a terminal the line at the end says everything.
fn progress(count: u64, terminal: bool) -> ProgressBar {
    if !terminal {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} students, {eta} to go");
    // Only a template that cannot be read is refused, and this one is a constant.
    ProgressBar::new(count).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_on_a_terminal_only() {
        assert!(progress(3, false).is_hidden());
        assert_eq!(progress(3, true).length(), Some(3));
        assert!(ProgressStyle::with_template("{bar:40} {pos} of {len} students, {eta} to go").is_ok());
    }
}
