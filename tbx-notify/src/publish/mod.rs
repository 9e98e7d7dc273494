//! Publishing by HTTP, as a tower service.
//!
//! `POST` with `{"topic","event","data"}` answers 202 with `{"id"}` once the notification is safe. What is wrong with it is answered with 415 (no JSON by
//! its content type), 413, 400 (no JSON) or 422 (all faults at once, each with a pointer); 503 says to try again.
//!
//! ```
//! use std::sync::Arc;
//! use tbx_notify::history::MemoryHistory;
//! use tbx_notify::publish::PublishService;
//!
//! let history = Arc::new(MemoryHistory::default());
//! let service = PublishService::new(history); // mount it in axum, poem or hyper
//! ```
//!
//! Anyone who reaches the service may publish: put it where only your own programs do, or give it an [`Access`](crate::access::Access).

mod body;
mod service;
mod sink;

pub use body::RESERVED_EVENTS;
pub use service::PublishService;
pub use sink::{NotTaken, NotificationSink};
