//! The command line. Every setting is a flag too; the names come from the table of settings.

use clap::{Arg, ArgAction, ArgMatches, Command as Clap};
use tbx_backends::{InvalidLetterId, LetterId};
use tbx_service::config::{HOW_TO_SET, KEYS, Loaded, environment};
use tbx_service::{Config, ConfigError, Failure};

use crate::commands::dead_letters::{Action, DeadLetters, Which};
use crate::commands::openapi::Host;
use crate::commands::seed::Seed;

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
    /// Look at what was given up, and decide.
    DeadLetters(DeadLetters),
    /// Look whether everything is set up right.
    Doctor,
    /// Ask a host whether it is ready.
    HealthCheck(String),
    /// Create students.
    Seed(Seed),
    /// Print the document of an API.
    OpenApi(Host),
    /// Print the settings.
    Config,
}

/// Reads the command and the settings, which may be wrong.
pub(crate) fn read() -> Result<(Command, Result<Loaded, ConfigError>), Failure> {
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
        Some(("dead-letters", matches)) => dead_letters(matches),
        Some(("doctor", matches)) => (Command::Doctor, matches),
        Some(("healthcheck", matches)) => (Command::HealthCheck(service(matches)), matches),
        Some(("openapi", matches)) => (Command::OpenApi(host(matches)), matches),
        Some(("seed", matches)) => (Command::Seed(seed(matches)), matches),
        Some((_, matches)) => (Command::Config, matches),
    };
    let working_dir = std::env::current_dir().map_err(|error| Failure::failed(&error))?;
    Ok((command, Config::load(&flags(matches), environment(), &working_dir)))
}

fn command_line() -> Clap {
    let settings = KEYS.iter().map(|key| {
        Arg::new(key.name)
            .long(key.name.replace('_', "-"))
            .value_name("VALUE")
            .help(key.help())
            .help_heading("Settings")
            .global(true)
    });
    let number = |name: &'static str, about: &'static str| {
        Arg::new(name).long(name).value_parser(clap::value_parser!(u64)).value_name("N").help(about)
    };
    Clap::new("tbx")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Student records whose every change reaches every browser at once.\n\nWithout a command: api, worker and notifier in one process.")
        .after_help(HOW_TO_SET)
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
        .subcommand(dead_letters_line())
        .subcommand(Clap::new("doctor").about("Look whether every configured part can be reached and is set up right"))
        .subcommand(
            Clap::new("healthcheck").about("Ask a host of this machine whether it is ready").arg(
                Arg::new("service").value_name("HOST").value_parser(["api", "worker", "notifier"]).required(true),
            ),
        )
        .subcommand(
            Clap::new("openapi").about("Print the OpenAPI document of a host").arg(
                Arg::new("host")
                    .long("host")
                    .value_name("HOST")
                    .value_parser(Host::NAMES)
                    .default_value(Host::NAMES[0])
                    .help("Whose API"),
            ),
        )
        .subcommand(Clap::new("config").about("Print the settings in force, with their origin"))
}

fn dead_letters_line() -> Clap {
    let id = |required: bool| Arg::new("id").value_name("ID").value_parser(read_id).required(required);
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Tell it as JSON").global(true);
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("Every letter there is");
    let group = Arg::new("group")
        .long("group")
        .value_name("GROUP")
        .help("Only those of this group of RabbitMQ, such as that of a notifier with a history of its own")
        .global(true);
    Clap::new("dead-letters")
        .about("Look at messages that were given up, and decide about them")
        .subcommand_required(true)
        .args([json, group])
        .subcommand(Clap::new("list").about("List them, oldest first"))
        .subcommand(Clap::new("show").about("Show one with its body").arg(id(true)))
        .subcommand(
            Clap::new("replay")
                .about("Have them handled again, by the group that gave them up where a broker keeps them")
                .arg(id(false).num_args(1..).required_unless_present("all").conflicts_with("all"))
                .arg(all),
        )
        .subcommand(Clap::new("drop").about("Delete them for good").arg(id(true).num_args(1..)))
}

fn read_id(text: &str) -> Result<LetterId, InvalidLetterId> {
    text.parse()
}

fn dead_letters(matches: &ArgMatches) -> (Command, &ArgMatches) {
    let (name, matches) = matches.subcommand().unwrap_or(("list", matches));
    let ids = || matches.get_many::<LetterId>("id").unwrap_or_default().cloned().collect::<Vec<_>>();
    let action = match name {
        "show" => Action::Show(ids().into_iter().next().unwrap_or(LetterId::Stored(0))),
        "replay" if matches.get_flag("all") => Action::Replay(Which::All),
        "replay" => Action::Replay(Which::These(ids())),
        "drop" => Action::Drop(ids()),
        _ => Action::List,
    };
    let (group, json) = (matches.get_one::<String>("group").cloned(), matches.get_flag("json"));
    (Command::DeadLetters(DeadLetters { action, group, json }), matches)
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

fn host(matches: &ArgMatches) -> Host {
    Host::named(matches.get_one::<String>("host").map_or("", String::as_str))
}

fn service(matches: &ArgMatches) -> String {
    matches.get_one::<String>("service").cloned().unwrap_or_default()
}

fn seed(matches: &ArgMatches) -> Seed {
    let number = |name| matches.get_one::<u64>(name).copied().unwrap_or_default();
    Seed { count: number("count"), rng_seed: number("rng-seed") }
}
