//! What the four URLs name, opened. The only place in the hosts that knows which implementations of a part there are; everyone else works with the
//! contracts of the crates.
//!
//! - [`Storage`]: students, outbox, inbox and dead letters (`TBX_DATABASE_URL`)
//! - [`Buses`]: the two channels (`TBX_BUS_URL`)
//! - [`OpenCache`]: students at hand (`TBX_CACHE_URL`)
//! - [`OpenHistory`]: notifications for clients that come back (`TBX_HISTORY_URL`)
//! - [`start_relay`]: the road from the outbox to the buses, which each process that appends to the outbox has

mod buses;
mod cache;
mod error;
mod examine;
mod gauges;
pub mod groups;
mod head;
mod history;
mod letter;
mod letters;
mod patience;
mod relay;
pub mod status;
mod storage;

pub use buses::{Bus, Buses};
pub use cache::OpenCache;
pub use error::OpenError;
pub use examine::{
    BrokerFacts, BusFacts, DatabaseFacts, RedisFacts, Schema, broker, check_urls, database, redis,
};
pub use head::HistoryHead;
pub use history::OpenHistory;
pub use letter::{InvalidLetterId, Letter, LetterId, LettersError};
pub use letters::Letters;
pub use relay::start_relay;
pub use storage::{Step, Storage};
