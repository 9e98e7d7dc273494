//! Settings: what they are, where they come from, what is wrong with them.
//!
//! Sources, each overriding the one before: defaults, `tbx.toml` in the working directory (or `--config FILE`),
//! environment `TBX_*` (each also as `TBX_*_FILE`, naming a file with the value), flags. A key is one line of
//! the table in `settings.rs`; everything else follows from it.

mod error;
mod flags;
mod load;
mod parse;
mod secret_url;
mod separate;
mod settings;
mod sources;
mod suggest;
mod urls;
mod values;

pub use error::ConfigError;
pub use flags::{Flags, parse_flags, split_flags};
pub use load::Loaded;
pub use parse::{Auth, LogFormat};
pub use secret_url::SecretUrl;
pub use settings::{Config, HOW_TO_SET, KEYS, Key};
pub use sources::environment;
pub use urls::{BusUrl, CacheUrl, DatabaseUrl, HistoryUrl};
pub use values::{Origin, Setting};
