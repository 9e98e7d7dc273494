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
            BusUrl::Memory => Ok(()),
            BusUrl::None => Err(ConfigError::new(
                "TBX_BUS_URL=none: does not fit api, worker and notifier in one process: without a bus no event \
                 reaches worker and notifier. Use memory:, or run `tbx notifier` alone",
            )),
        }
    }

    /// Checks that `service` can do its work in a process of its own: what it shares with the others must be reachable by all of them.
    ///
    /// # Errors
    ///
    /// Names the first setting that keeps it from that, and what to do.
    pub fn check_separate(&self, service: &str) -> Result<(), ConfigError> {
        let needs_database = match self.bus_url {
            BusUrl::Memory if service == "notifier" => {
                return Err(ConfigError::new(
                    "TBX_BUS_URL=memory: does not fit the notifier as a process of its own: a bus in memory ends at \
                     the process that holds it. Use none: to feed it by HTTP alone, or run `tbx`, which holds api, \
                     worker and notifier in one process",
                ));
            }
            BusUrl::Memory => {
                return Err(refusal(
                    service,
                    "TBX_BUS_URL=memory:",
                    "a bus in memory ends at the process that holds it",
                ));
            }
            // A notifier that is fed by HTTP alone needs nothing of the others.
            BusUrl::None if service == "notifier" => false,
            BusUrl::None => {
                return Err(refusal(service, "TBX_BUS_URL=none:", "without a bus no event reaches it"));
            }
        };
        match &self.cache_url {
            CacheUrl::Memory if needs_database => {
                return Err(refusal(
                    service,
                    "TBX_CACHE_URL=memory:",
                    "a cache in memory would show others old states",
                ));
            }
            CacheUrl::Memory => {}
        }
        match &self.database_url {
            DatabaseUrl::Sqlite(path) if needs_database => {
                let setting = format!("TBX_DATABASE_URL=sqlite:{}", path.display());
                Err(refusal(service, &setting, "one process owns an SQLite file"))
            }
            DatabaseUrl::Sqlite(_) => Ok(()),
        }
    }
}

fn refusal(service: &str, setting: &str, why: &str) -> ConfigError {
    ConfigError::new(format!(
        "{setting} does not fit the {service} as a process of its own: {why}. \
         This version has nothing else to offer; run `tbx`, which holds api, worker and notifier in one process"
    ))
}
