//! What a host needs when it is a process of its own.

use super::{BusUrl, CacheUrl, Config, ConfigError, DatabaseUrl};

impl Config {
    /// Checks that api, worker and notifier can run in one process.
    ///
    /// # Errors
    ///
    /// Names the setting that keeps them from it, and what to do.
    pub fn check_together(&self) -> Result<(), ConfigError> {
        match self.bus_url {
            BusUrl::Memory | BusUrl::Amqp(_) => Ok(()),
            BusUrl::None => Err(ConfigError::new(
                "TBX_BUS_URL=none: does not fit api, worker and notifier in one process: without a bus no event \
                 reaches worker and notifier. Use memory: or amqp://, or run `tbx notifier` alone",
            )),
        }
    }

    /// Checks that `service` can do its work in a process of its own: what it shares with the others must be reachable by all of them.
    ///
    /// All three ask for the same, also for what one of them does not use itself, so that one set of settings serves them all. A notifier
    /// on `none:` is fed by HTTP alone and shares nothing.
    ///
    /// # Errors
    ///
    /// Names the first setting that keeps it from that, and what to do.
    pub fn check_separate(&self, service: &str) -> Result<(), ConfigError> {
        match &self.bus_url {
            BusUrl::Memory if service == "notifier" => {
                return Err(ConfigError::new(
                    "TBX_BUS_URL=memory: does not fit the notifier as a process of its own: a bus in memory ends at \
                     the process that holds it. Use amqp://, or none: to feed it by HTTP alone, or run `tbx`, which \
                     holds api, worker and notifier in one process",
                ));
            }
            BusUrl::Memory => {
                let why = "a bus in memory ends at the process that holds it";
                return Err(refusal(service, "TBX_BUS_URL=memory:", why, "amqp://"));
            }
            BusUrl::None if service == "notifier" => return Ok(()),
            BusUrl::None => {
                let why = "without a bus no event reaches it";
                return Err(refusal(service, "TBX_BUS_URL=none:", why, "amqp://"));
            }
            BusUrl::Amqp(_) => {}
        }
        if self.cache_url == CacheUrl::Memory {
            let why = "a cache in memory would show others old states";
            return Err(refusal(service, "TBX_CACHE_URL=memory:", why, "redis://"));
        }
        if let DatabaseUrl::Sqlite(path) = &self.database_url {
            let setting = format!("TBX_DATABASE_URL=sqlite:{}", path.display());
            return Err(refusal(service, &setting, "one process owns an SQLite file", "postgres://"));
        }
        Ok(())
    }
}

fn refusal(service: &str, setting: &str, why: &str, instead: &str) -> ConfigError {
    ConfigError::new(format!(
        "{setting} does not fit the {service} as a process of its own: {why}. \
         Use {instead}, or run `tbx`, which holds api, worker and notifier in one process"
    ))
}
