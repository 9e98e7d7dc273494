#![doc = include_str!("../README.md")]

#[cfg(feature = "_service")]
pub mod access;
#[cfg(feature = "bridge")]
pub mod bridge;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entry;
pub mod history;
pub mod hub;
#[cfg(feature = "_service")]
mod json;
mod notification;
#[cfg(feature = "poll")]
pub mod poll;
mod position;
#[cfg(feature = "publish")]
pub mod publish;
#[cfg(feature = "_service")]
mod rejection;
#[cfg(any(feature = "sse", feature = "websocket", feature = "poll"))]
mod request;
#[cfg(feature = "sse")]
pub mod sse;
mod topics;
#[cfg(any(feature = "websocket", feature = "hyper", feature = "poem"))]
pub mod upgrade;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use entry::Entry;
pub use notification::{BodyNotText, EventName, InvalidEventName, Notification};
pub use position::{Epoch, InvalidPosition, Position};
#[cfg(feature = "_service")]
pub use rejection::{FieldFault, Rejection};
pub use topics::{InvalidTopicSet, MAX_PATTERNS, TopicSet};

/// How long a connection may be silent unless a service is told otherwise.
#[cfg(any(feature = "sse", feature = "websocket"))]
const DEFAULT_KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(15);

/// A keep-alive that neither floods nor overflows.
#[cfg(any(feature = "sse", feature = "websocket"))]
fn bounded_keep_alive(interval: std::time::Duration) -> std::time::Duration {
    interval.clamp(std::time::Duration::from_secs(1), std::time::Duration::from_secs(24 * 3600))
}
