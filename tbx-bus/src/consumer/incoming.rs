//! What a handler gets.

use std::sync::Arc;

use crate::{Message, TraceContext};

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
    /// The trace to go on from: that of the message, with the span of working it off. What the handler sends on or stores belongs to it.
    pub trace: Option<TraceContext>,
}

impl Incoming {
    /// An attempt, as the runtime or a test makes it.
    #[must_use]
    pub fn new(message: Arc<Message>, group: Arc<str>, attempt: u32, redelivered: bool) -> Self {
        let trace = message.trace().cloned();
        Self { message, group, attempt, redelivered, trace }
    }

    /// Sets the trace to go on from; that of the message unless set.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }
}
