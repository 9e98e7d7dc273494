//! Settings among the arguments of a program.

use super::ConfigError;
use super::settings::NOT_YET;
use super::suggest::{known, unknown};
use super::values::flag;

/// Arguments, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Settings and `config`, without the leading hyphens, for [`Config::load`](super::Config::load).
    pub settings: Vec<(String, String)>,
    /// Everything else in its order, for the program's own reader.
    pub rest: Vec<String>,
}

/// Takes the settings (`--api-listen 127.0.0.1:0`, `--api-listen=127.0.0.1:0`) and `--config FILE` out of the
/// arguments and leaves the others. After `--` nothing is taken.
///
/// # Errors
///
/// When a setting has no value.
pub fn split_flags(args: impl IntoIterator<Item = String>) -> Result<Flags, ConfigError> {
    let mut flags = Flags::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            flags.rest.push(arg);
            flags.rest.extend(args);
            break;
        }
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let Some(name) = name.strip_prefix("--").filter(|name| is_setting(name)) else {
            flags.rest.push(arg);
            continue;
        };
        let value = value.or_else(|| args.next().filter(|next| !next.starts_with("--")));
        let Some(value) = value else {
            return Err(ConfigError::new(format!("--{name}: no value; write --{name}=VALUE")));
        };
        flags.settings.push((name.to_owned(), value));
    }
    Ok(flags)
}

/// [`split_flags`] for programs that have no other arguments.
///
/// # Errors
///
/// When a setting has no value, or something else was given.
pub fn parse_flags(args: impl IntoIterator<Item = String>) -> Result<Vec<(String, String)>, ConfigError> {
    let Flags { settings, rest } = split_flags(args)?;
    match rest.first() {
        None => Ok(settings),
        Some(arg) => Err(match arg.strip_prefix("--") {
            Some(name) if !name.is_empty() => {
                unknown_flag(name.split_once('=').map_or(name, |(name, _)| name))
            }
            _ => ConfigError::new(format!("{arg}: unexpected argument; settings are written --name=VALUE")),
        }),
    }
}

pub(super) fn unknown_flag(name: &str) -> ConfigError {
    unknown(&format!("--{name}"), "flag", &name.replace('-', "_"), flag)
}

fn is_setting(name: &str) -> bool {
    let key = name.replace('-', "_");
    // Hyphens only: --api_listen is not a flag, but close enough to be suggested.
    !name.contains('_')
        && (key == "config" || known(&key).is_some() || NOT_YET.iter().any(|(later, _)| *later == key))
}
