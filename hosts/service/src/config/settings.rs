//! The table of all settings.

use std::net::SocketAddr;
use std::time::Duration;

use super::parse::{self, Auth, LogFormat};
use super::values::Values;
use super::{BusUrl, CacheUrl, ConfigError, DatabaseUrl, HistoryUrl};
use crate::guard::{AllowedHosts, AllowedOrigins};

/// A setting as the user may write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As in the file; `TBX_` and upper case make the variable, hyphens the flag.
    pub name: &'static str,
    /// As the user would write it; empty when there is none.
    pub default: &'static str,
    /// What it is for.
    pub about: &'static str,
}

impl Key {
    /// What it is for and what it is without anybody's doing, for a help text.
    #[must_use]
    pub fn help(&self) -> String {
        let about = self.about.trim();
        if self.default.is_empty() {
            about.to_owned()
        } else {
            format!("{about} [default: {}]", self.default)
        }
    }
}

/// Where else a setting may be written, for a help text.
pub const HOW_TO_SET: &str =
    "Every setting can also be a variable, TBX_API_LISTEN for --api-listen, or a line of tbx.toml.";

/// Makes the struct, the list of keys and the reader from one line per setting.
macro_rules! settings {
    ($($(#[doc = $about:literal])+ $name:ident: $type:ty = $default:literal, $parse:path;)+) => {
        /// The settings of a start, checked.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Config {
            $($(#[doc = $about])+ #[doc = concat!("\n\nDefault: `", $default, "`.")] pub $name: $type,)+
        }

        /// Every setting there is.
        pub const KEYS: &[Key] = &[
            $(Key { name: stringify!($name), default: $default, about: concat!($($about),+) },)+
        ];

        impl Config {
            /// Reads every value, each on its own.
            pub(super) fn read(values: &Values) -> Result<Self, ConfigError> {
                Ok(Self { $($name: values.read(stringify!($name), $parse)?,)+ })
            }
        }
    };
}

settings! {
    /// Where students, outbox and inbox are.
    database_url: DatabaseUrl = "sqlite:data/tbx.db", DatabaseUrl::parse;
    /// What carries events and notifications.
    bus_url: BusUrl = "memory:", BusUrl::parse;
    /// The second tier of the cache.
    cache_url: CacheUrl = "memory:", CacheUrl::parse;
    /// Where the history of notifications is.
    history_url: HistoryUrl = "sqlite:data/tbx-history.db", HistoryUrl::parse;
    /// How many notifications are kept for clients that come back.
    history_max_count: u64 = "100000", parse::count;
    /// How long they are kept.
    history_max_age: Duration = "24h", parse::duration;
    /// Address of the api.
    api_listen: SocketAddr = "127.0.0.1:5000", parse::address;
    /// Address of the notifier.
    notifier_listen: SocketAddr = "127.0.0.1:5001", parse::address;
    /// Address of the worker, for health.
    worker_listen: SocketAddr = "127.0.0.1:5002", parse::address;
    /// Pages of other origins that may call, with commas; * for any.
    allowed_origins: AllowedOrigins = "", AllowedOrigins::parse;
    /// Names to answer to beside loopback names and the listen address, with commas; * for any.
    allowed_hosts: AllowedHosts = "", AllowedHosts::parse;
    /// Connections per listener.
    max_connections: usize = "15000", parse::connections;
    /// Longest wait for a request head.
    header_timeout: Duration = "10s", parse::duration;
    /// Largest request body, in bytes.
    body_limit: usize = "256KiB", parse::size;
    /// What a stop leaves running requests and streams.
    drain_timeout: Duration = "20s", parse::duration_or_zero;
    /// How often an idle stream gets a sign of life.
    keep_alive: Duration = "15s", parse::duration;
    /// Who may do what.
    auth: Auth = "off", Auth::parse;
    /// What is logged: a level, or a list of target=level.
    log: String = "info", parse::log_filter;
    /// How it is logged; `auto` is pretty on a terminal and json elsewhere.
    log_format: LogFormat = "auto", LogFormat::parse;
}

/// Settings of the contract whose part is not built yet, with what to do instead.
pub(super) const NOT_YET: &[(&str, &str)] = &[
    ("jwt_secret", NO_TOKENS),
    ("jwt_public_key", NO_TOKENS),
    ("jwks_url", NO_TOKENS),
    ("jwt_issuer", NO_TOKENS),
    ("jwt_audience", NO_TOKENS),
];

const NO_TOKENS: &str =
    "this version does not have token authentication yet; remove it and use auth off or insecure";
