//! `seed`: students with made-up names, the same for the same seed.

use std::sync::Arc;

use chrono::Utc;
use fastrand::Rng;
use tbx_core::{Context, CreateStudentHandler, NoCache, StudentInput, UseCaseError};
use tbx_service::Config;

use crate::embedded::Storage;
use crate::exit::Failure;

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
    let storage = Storage::open(config).await?;
    let create = CreateStudentHandler::new(Arc::new(storage.students.clone()), Arc::new(NoCache));
    let mut random = Rng::with_seed(seed.rng_seed);
    let (mut created, mut known) = (0_u64, 0_u64);
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
            Err(error) => return Err(Failure::failed(&error)),
        }
    }
    storage.database.close().await;
    println!("{created} students created, {known} were there already.");
    Ok(())
}
