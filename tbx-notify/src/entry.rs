//! A notification at its place in the history, with its wire forms.

#[cfg(any(feature = "sse", feature = "websocket"))]
use std::sync::OnceLock;

#[cfg(feature = "sse")]
use bytes::Bytes;

use crate::{Notification, Position};

/// A notification at its place. Shared by every connection that gets it; each wire form is encoded once, when the first needs it.
#[derive(Debug)]
pub struct Entry {
    position: Position,
    notification: Notification,
    #[cfg(feature = "sse")]
    sse: OnceLock<Bytes>,
    #[cfg(feature = "websocket")]
    websocket: OnceLock<crate::websocket::Frame>,
}

impl Entry {
    /// An entry, as a history makes it.
    #[must_use]
    pub fn new(position: Position, notification: Notification) -> Self {
        Self {
            position,
            notification,
            #[cfg(feature = "sse")]
            sse: OnceLock::new(),
            #[cfg(feature = "websocket")]
            websocket: OnceLock::new(),
        }
    }

    /// Its place.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The number of its place.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.position.offset
    }

    /// What it says.
    #[must_use]
    pub fn notification(&self) -> &Notification {
        &self.notification
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.notification.body().len() + self.notification.topic().as_str().len() + 256
    }

    /// The event of an event stream.
    #[cfg(feature = "sse")]
    #[must_use]
    pub(crate) fn sse(&self) -> &Bytes {
        self.sse.get_or_init(|| crate::sse::encode::notification(self))
    }

    /// The frame of a WebSocket.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub(crate) fn websocket(&self) -> &crate::websocket::Frame {
        self.websocket.get_or_init(|| crate::websocket::encode::notification(self, false))
    }
}
