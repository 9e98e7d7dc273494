//! The command line. Every setting is a flag too; the names come from the table of settings.

use clap::{Arg, ArgMatches, Command as Clap};
use tbx_service::Config;
use tbx_service::config::{KEYS, Loaded, environment};

use crate::commands::seed::Seed;
use crate::exit::Failure;

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run api, worker and notifier.
    AllInOne,
    /// Run one of them.
    Separate(&'static str),
    /// Bring the databases up to date.
    Migrate,
    /// Tell whether they are.
    MigrateStatus,
    /// Create students.
    Seed(Seed),
    /// Print the settings.
    Config,
}

/// Reads the command and the settings.
pub(crate) fn read() -> Result<(Command, Loaded), Failure> {
    // Ends the process itself, with code 2, when the arguments are wrong, and with 0 after a help text.
    let matches = command_line().get_matches();
    let (command, matches) = match matches.subcommand() {
        None => (Command::AllInOne, &matches),
        Some(("api", matches)) => (Command::Separate("api"), matches),
        Some(("worker", matches)) => (Command::Separate("worker"), matches),
        Some(("notifier", matches)) => (Command::Separate("notifier"), matches),
        Some(("migrate", matches)) => match matches.subcommand() {
            Some((_, matches)) => (Command::MigrateStatus, matches),
            None => (Command::Migrate, matches),
        },
        Some(("seed", matches)) => (Command::Seed(seed(matches)), matches),
        Some((_, matches)) => (Command::Config, matches),
    };
    let working_dir = std::env::current_dir().map_err(|error| Failure::failed(&error))?;
    let loaded =
        Config::load(&flags(matches), environment(), &working_dir).map_err(|error| Failure::usage(&error))?;
    Ok((command, loaded))
}

fn command_line() -> Clap {
    let settings = KEYS.iter().map(|key| {
        Arg::new(key.name)
            .long(key.name.replace('_', "-"))
            .value_name("VALUE")
            .help(format!("{} [default: {}]", key.about.trim(), key.default))
            .help_heading("Settings")
            .global(true)
    });
    let number = |name: &'static str, about: &'static str| {
        Arg::new(name).long(name).value_parser(clap::value_parser!(u64)).value_name("N").help(about)
    };
    Clap::new("tbx")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Student records whose every change reaches every browser at once.\n\nWithout a command: api, worker and notifier in one process.")
        .after_help("Every setting can also be a variable, TBX_API_LISTEN for --api-listen, or a line of tbx.toml.")
        .arg(Arg::new("config").long("config").value_name("FILE").help("Read settings from FILE instead of tbx.toml").global(true))
        .args(settings)
        .subcommand(Clap::new("api").about("Run the api as a process of its own"))
        .subcommand(Clap::new("worker").about("Run the worker as a process of its own"))
        .subcommand(Clap::new("notifier").about("Run the notifier as a process of its own"))
        .subcommand(
            Clap::new("migrate")
                .about("Bring the databases up to date")
                .subcommand(Clap::new("status").about("Tell whether they are")),
        )
        .subcommand(
            Clap::new("seed")
                .about("Create students with made-up names")
                .arg(number("count", "How many").required(true))
                .arg(number("rng-seed", "The same seed makes the same students").default_value("1")),
        )
        .subcommand(Clap::new("config").about("Print the settings in force, with their origin"))
}

fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let names = KEYS.iter().map(|key| key.name).chain(["config"]);
    names
        .filter_map(|name| {
            let value = matches.get_one::<String>(name)?;
            Some((name.replace('_', "-"), value.clone()))
        })
        .collect()
}

fn seed(matches: &ArgMatches) -> Seed {
    let number = |name| matches.get_one::<u64>(name).copied().unwrap_or_default();
    Seed { count: number("count"), rng_seed: number("rng-seed") }
}
