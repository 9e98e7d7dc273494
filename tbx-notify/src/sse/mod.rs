//! Server-Sent Events, as a tower service generic over the request body.
//!
//! ```
//! use std::sync::Arc;
//! use tbx_notify::history::MemoryHistory;
//! use tbx_notify::hub::{Hub, HubOptions};
//! use tbx_notify::sse::SseService;
//!
//! let hub = Hub::new(Arc::new(MemoryHistory::default()), HubOptions::default());
//! let service = SseService::new(hub); // mount it in axum, poem or hyper
//! ```
//!
//! The protocol is that of the [HTML standard, Server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html). The query has
//! `topics` (patterns, separated by commas or repeated), `lastEventId` and `from=oldest`; the header `Last-Event-ID` beats the query.
//!
//! | event | data | id |
//! |---|---|---|
//! | `connected`, the first | `{"clientId","position"}` | the position the stream starts after |
//! | the event of a notification | its body | its position |
//! | `gap` | `{"reason","requested","oldest","newest"}` | the position the stream goes on after |
//! | none, every 15 s | none | a position nearer the head, so that a quiet client does not fall behind |
//!
//! When the hub is full or closes, the answer is still 200, with `retry:` and an end: any other status would stop a browser for good.

mod body;
pub(crate) mod encode;
mod joined;
mod service;

pub use body::SseBody;
pub use service::SseService;
