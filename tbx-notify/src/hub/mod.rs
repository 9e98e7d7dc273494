//! The hub: follows a history and wakes the readers whose topics match.
//!
//! ```text
//! history ──tail──► feed of each pattern ──► readers with that pattern
//!    └────────────────── catching up ──────────────┘
//! ```
//!
//! A reader holds a position, not a queue. Each distinct pattern has one *feed*, the latest entries that match it, shared by all its readers;
//! a reader merges the feeds of its patterns from its position on. What is older than the feeds comes from the history, through its index. So
//! publishing costs the matching patterns and readers, reading costs what is read, and a slow reader costs nobody anything.

mod drain;
mod feed;
mod limits;
mod pattern_tree;
mod reader;
mod seat;
mod slow;
mod span;
mod start;
mod tail;
mod transport;
mod window;

pub use limits::{HubFull, HubOptions};
pub use reader::{Gap, GapReason, Next, Reader};
pub use slow::SlowPolicy;
pub use start::{Fallback, Start};
pub use tail::Hub;
pub use transport::Transport;
