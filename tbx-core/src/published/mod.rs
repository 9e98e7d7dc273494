//! The published language: what leaves the domain, as others read it.
//!
//! Channels, topics and type strings have their one home here, beside the wire types. Fields are camelCase, times are
//! RFC 3339 in UTC with exactly three decimals, what is not known is `null`. Unknown fields are ignored when reading.

mod message;
mod names;
mod student;
mod text;

pub use message::{StudentMessage, cached_id, notification_id};
pub use names::{
    EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL, NOTIFIER_GROUP, TOPIC_CACHED, TOPIC_CREATED, TOPIC_DELETED,
    TOPIC_UPDATED, TYPE_CACHED, WORKER_GROUP, field_name, topic_of,
};
pub use student::{MalformedMessage, StudentBody};
