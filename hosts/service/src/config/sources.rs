//! File, environment and flags, each into the values before it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::Value;

use super::ConfigError;
use super::flags::unknown_flag;
use super::settings::NOT_YET;
use super::suggest::{known, unknown};
use super::values::{Origin, Values, variable};

/// Read when no other file is named, if it is there.
const FILE: &str = "tbx.toml";

/// Variables of the tests, which are not for us.
const TEST_PREFIX: &str = "TBX_TEST_";

/// The environment of the process, for [`Config::load`](super::Config::load). What is not UTF-8 is shown with
/// replacement characters, which no setting accepts, rather than ending the process.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

pub(super) fn read_file(
    values: &mut Values,
    named: Option<&str>,
    directory: &Path,
) -> Result<(), ConfigError> {
    let path = named.map_or_else(|| PathBuf::from(FILE), PathBuf::from);
    let text = match fs::read_to_string(directory.join(&path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => return Ok(()),
        Err(error) => {
            let remedy = if named.is_some() { "--config names a readable file" } else { "it can be read" };
            let path = path.display();
            return Err(ConfigError::new(format!(
                "{path}: cannot be read ({error}); make sure that {remedy}"
            )));
        }
    };
    let table: toml::Table = text.parse().map_err(|error| not_toml(&path, &text, &error))?;
    for (name, value) in &table {
        let origin = Origin::File(path.clone());
        let written = origin.spell(name);
        let key =
            settle(name, &written).unwrap_or_else(|| Err(unknown(&written, "key", name, str::to_owned)))?;
        let text = file_text(value).ok_or_else(|| {
            let (value, kind) = (shown(value), value.type_str());
            ConfigError::new(format!("{written}: {value} ({kind}) cannot be used; write text in quotes"))
        })?;
        values.set(key, text, origin)?;
    }
    Ok(())
}

/// The parser's own display quotes the line, which may hold a password.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    ConfigError::new(format!("{}: line {line} is no TOML; correct it ({})", path.display(), error.message()))
}

/// The text a value would have in the environment.
fn file_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(entries) => {
            let entries: Option<Vec<&str>> = entries.iter().map(Value::as_str).collect();
            entries.map(|entries| entries.join(","))
        }
        _ => None,
    }
}

/// A value that is of no use, for the message.
fn shown(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Datetime(value) => value.to_string(),
        _ => "what is given".to_owned(),
    }
}

pub(super) fn read_environment(
    values: &mut Values,
    env: impl Iterator<Item = (String, String)>,
    directory: &Path,
) -> Result<(), ConfigError> {
    // Sorted, so that of several faults the same one is named every time.
    let given: BTreeMap<String, String> =
        env.filter(|(name, _)| name.starts_with("TBX_") && !name.starts_with(TEST_PREFIX)).collect();
    for (name, value) in &given {
        let key = name["TBX_".len()..].to_ascii_lowercase();
        let exact = |key: &str| variable(key) == *name;
        if let Some(key) = settle(&key, name).transpose()?.filter(|key| exact(key)) {
            values.set(key, value.clone(), Origin::Environment)?;
            continue;
        }
        let file_of = key.strip_suffix("_file").and_then(|key| settle(key, name)).transpose()?;
        let Some(key) = file_of.filter(|key| exact(&format!("{key}_file"))) else {
            return Err(unknown(name, "variable", &key, variable));
        };
        let plain = variable(key);
        if given.contains_key(&plain) {
            return Err(ConfigError::new(format!("{plain} and {name}: both are given; remove one of them")));
        }
        let text = fs::read_to_string(directory.join(value)).map_err(|error| {
            ConfigError::new(format!("{name}: \"{value}\" cannot be read ({error}); name a readable file"))
        })?;
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        values.set(key, text, Origin::EnvironmentFile(PathBuf::from(value)))?;
    }
    Ok(())
}

/// `config` among the flags is the file's name, and dealt with before.
pub(super) fn read_flags(values: &mut Values, flags: &[(String, String)]) -> Result<(), ConfigError> {
    for (name, value) in flags.iter().filter(|(name, _)| name != "config") {
        let key = name.replace('-', "_");
        let key = settle(&key, &format!("--{name}")).unwrap_or_else(|| Err(unknown_flag(name)))?;
        values.set(key, value.clone(), Origin::Flag)?;
    }
    Ok(())
}

/// The known key of this name, an error for one that is not built yet, or nothing.
fn settle(name: &str, written: &str) -> Option<Result<&'static str, ConfigError>> {
    if let Some(key) = known(name) {
        return Some(Ok(key));
    }
    let (_, remedy) = NOT_YET.iter().find(|(later, _)| *later == name)?;
    Some(Err(ConfigError::new(format!("{written}: {remedy}"))))
}
