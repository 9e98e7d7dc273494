//! All sources together, and what must fit together.

use std::fmt::Write as _;
use std::path::Path;

use super::sources::{read_environment, read_file, read_flags};
use super::values::Values;
use super::{Auth, Config, ConfigError, DatabaseUrl, HistoryUrl, Setting};

/// Settings with where each came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The checked settings.
    pub config: Config,
    /// Text and origin of each, in the order of [`KEYS`](super::KEYS), secrets masked.
    pub origins: Vec<Setting>,
}

impl Loaded {
    /// One line `key = value  (origin)` per setting.
    #[must_use]
    pub fn render(&self) -> String {
        let mut lines = String::new();
        for setting in &self.origins {
            let _ = writeln!(lines, "{setting}");
        }
        lines
    }
}

impl Config {
    /// Reads all sources. Depends on nothing but its arguments and the files they name; relative ones are
    /// looked for in `working_dir`.
    ///
    /// `flags` are names without leading hyphens and values, as [`split_flags`](super::split_flags) gives them;
    /// `env` is the whole environment, for instance [`environment`](super::environment).
    ///
    /// # Errors
    ///
    /// The first fault found: a file that cannot be read, an unknown name, a value that cannot be used, or
    /// settings that do not fit together.
    pub fn load(
        flags: &[(String, String)],
        env: impl Iterator<Item = (String, String)>,
        working_dir: &Path,
    ) -> Result<Loaded, ConfigError> {
        let mut values = Values::defaults();
        let file = flags.iter().rfind(|(name, _)| name == "config").map(|(_, file)| file.as_str());
        read_file(&mut values, file, working_dir)?;
        read_environment(&mut values, env, working_dir)?;
        read_flags(&mut values, flags)?;
        let config = Self::read(&values)?;
        config.check_exposure(&values)?;
        config.check_files(&values)?;
        Ok(Loaded { config, origins: values.settings() })
    }

    /// Without authentication only this machine may come in, unless somebody has said otherwise.
    fn check_exposure(&self, values: &Values) -> Result<(), ConfigError> {
        if self.auth != Auth::Off {
            return Ok(());
        }
        let listens = [
            ("api_listen", self.api_listen),
            ("notifier_listen", self.notifier_listen),
            ("worker_listen", self.worker_listen),
        ];
        match listens.into_iter().find(|(_, addr)| !addr.ip().to_canonical().is_loopback()) {
            None => Ok(()),
            Some((key, addr)) => Err(ConfigError::new(format!(
                "{}: \"{addr}\" is not a loopback address and auth is off, so anyone could come in; use \
                 127.0.0.1, or set auth to insecure if that is meant",
                values.origin(key).spell(key)
            ))),
        }
    }

    /// A SQLite file has one owner, and students and history are two.
    fn check_files(&self, values: &Values) -> Result<(), ConfigError> {
        match (&self.database_url, &self.history_url) {
            (DatabaseUrl::Sqlite(database), HistoryUrl::Sqlite(history)) if history == database => {
                Err(ConfigError::new(format!(
                    "{}: \"sqlite:{}\" is the database's file too; give the history a file of its own",
                    values.origin("history_url").spell("history_url"),
                    history.display()
                )))
            }
            _ => Ok(()),
        }
    }
}
