//! The text of every setting, with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::secret_url::masked;
use super::{ConfigError, KEYS};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// The variable of its name.
    Environment,
    /// A file named by the variable with `_FILE`.
    EnvironmentFile(PathBuf),
    /// The flag of its name.
    Flag,
}

impl Origin {
    /// The key as the user wrote it there, for messages.
    pub(super) fn spell(&self, key: &str) -> String {
        match self {
            Self::Default => key.to_owned(),
            Self::File(path) => format!("{key} in {}", path.display()),
            Self::Environment => variable(key),
            Self::EnvironmentFile(path) => format!("{}_FILE ({})", variable(key), path.display()),
            Self::Flag => flag(key),
        }
    }
}

/// `TBX_API_LISTEN`.
pub(super) fn variable(key: &str) -> String {
    format!("TBX_{}", key.to_ascii_uppercase())
}

/// `--api-listen`.
pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

/// An effective value as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, as in the file.
    pub key: &'static str,
    /// Its text with secrets masked; empty when there is none.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl fmt::Display for Setting {
    /// `key = value  (origin)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_empty() { "-" } else { &self.value };
        write!(f, "{} = {value}  (", self.key)?;
        match &self.origin {
            Origin::Default => f.write_str("default")?,
            Origin::File(path) => write!(f, "{}", path.display())?,
            origin => f.write_str(&origin.spell(self.key))?,
        }
        f.write_str(")")
    }
}

/// Texts by key; later sources replace earlier ones.
pub(super) struct Values(BTreeMap<&'static str, (String, Origin)>);

impl Values {
    pub(super) fn defaults() -> Self {
        Self(KEYS.iter().map(|key| (key.name, (key.default.to_owned(), Origin::Default))).collect())
    }

    /// Sets a value. An empty one is refused here, so that only an absent default is empty later.
    pub(super) fn set(&mut self, key: &'static str, text: String, origin: Origin) -> Result<(), ConfigError> {
        if text.is_empty() {
            let key = origin.spell(key);
            return Err(ConfigError::new(format!("{key}: \"\" is no value; give one or remove it")));
        }
        self.0.insert(key, (text, origin));
        Ok(())
    }

    pub(super) fn read<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let (text, origin) = self.0.get(key).ok_or_else(|| ConfigError::new(format!("{key}: no value")))?;
        parse(text)
            .map_err(|fault| ConfigError::new(format!("{}: \"{}\" {fault}", origin.spell(key), masked(text))))
    }

    pub(super) fn origin(&self, key: &str) -> &Origin {
        self.0.get(key).map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// In the order of the table.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let show = |key: &super::Key| {
            let (text, origin) = self.0.get(key.name)?;
            Some(Setting { key: key.name, value: masked(text), origin: origin.clone() })
        };
        KEYS.iter().filter_map(show).collect()
    }
}
