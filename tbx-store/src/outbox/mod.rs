//! The transactional outbox: messages stored in the transaction that changes the data, and the relay that hands them to the bus.
//!
//! ```text
//! append (in your transaction) ──► pending ──► handed ──► done ──► purged
//!                                     ▲           │
//!                                     └── later ──┘        given up: a dead letter, written in the settling transaction
//! ```
//!
//! - Nothing is published before the commit; nothing committed goes unpublished, whatever dies in between.
//! - At most one message of a key is unconfirmed at a time; messages of different keys are published side by side.
//! - An attempt is counted *before* the message is handed over. After a crash, what was handed over then is tried
//!   again one by one, so a message that ends the process is the only one charged for it, and ends as a dead letter.

mod contract;
mod entry;
mod recovery;
mod relay;
mod route;
mod under_way;

pub use contract::{OutboxStats, OutboxStore, Settlement, Tidings};
pub use entry::OutboxEntry;
pub use relay::{Relay, RelayState};
pub use route::Route;
