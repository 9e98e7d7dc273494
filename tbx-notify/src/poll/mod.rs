//! JSON catch-up and long poll, as a tower service generic over the request body.
//!
//! For clients that hold no stream: a script, a phone in the background, a proxy that lets nothing else through.
//!
//! ```
//! use std::sync::Arc;
//! use tbx_notify::history::MemoryHistory;
//! use tbx_notify::hub::{Hub, HubOptions};
//! use tbx_notify::poll::PollService;
//!
//! let hub = Hub::new(Arc::new(MemoryHistory::default()), HubOptions::default());
//! let service = PollService::new(hub); // mount it in axum, poem or hyper
//! ```
//!
//! | query | meaning | without it |
//! |---|---|---|
//! | `topics` | patterns, separated by commas or repeated | everything |
//! | `after` | the position to go on after | the head, so that the first answer is empty and has the position in `next` |
//! | `from=oldest` | without `after`, or where it says nothing about this history: all that is kept | the head |
//! | `limit` | how many items at most, 1 to 1000 | 100 |
//! | `wait` | when there is nothing: how many seconds to wait for something, 0 to 60 | 0 |
//!
//! The answer is `{"items":[{"position","topic","event","data"}],"next","gap"?}`. Ask again with `after` = `next`: nothing is missed and nothing comes
//! twice. `gap` is there when something may have been missed: `{"reason","requested","oldest","newest"}`.

mod answer;
mod request;
mod service;

pub use service::PollService;
