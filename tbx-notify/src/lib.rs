#![doc = include_str!("../README.md")]

#[cfg(feature = "bridge")]
pub mod bridge;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entry;
pub mod history;
pub mod hub;
mod notification;
mod position;
#[cfg(feature = "sse")]
pub mod sse;
mod topics;

pub use entry::Entry;
pub use notification::{BodyNotText, EventName, InvalidEventName, Notification};
pub use position::{Epoch, InvalidPosition, Position};
pub use topics::{InvalidTopicSet, MAX_PATTERNS, TopicSet};
