//! What a handler gets.

use std::sync::Arc;

use crate::Message;

/// One attempt at one message: the request type of a handler service.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Incoming {
    /// The message; shared, not copied.
    pub message: Arc<Message>,
    /// The group it came to.
    pub group: Arc<str>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether the group may have seen it before.
    pub redelivered: bool,
}

impl Incoming {
    /// An attempt, as the runtime or a test makes it.
    #[must_use]
    pub fn new(message: Arc<Message>, group: Arc<str>, attempt: u32, redelivered: bool) -> Self {
        Self { message, group, attempt, redelivered }
    }
}
