//! By what a reader's client is connected, for counting.

/// By what a reader's client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Server-Sent Events.
    Sse,
    /// WebSocket.
    WebSocket,
    /// Long polling.
    Poll,
    /// Whatever else reads from the hub.
    Other,
}

impl Transport {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Sse, Self::WebSocket, Self::Poll, Self::Other];

    /// Its name in counts and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::Poll => "poll",
            Self::Other => "other",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_place() {
        for (index, transport) in Transport::ALL.iter().enumerate() {
            assert_eq!(transport.index(), index);
        }
    }
}
