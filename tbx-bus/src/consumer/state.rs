//! What a consumer is doing, for health checks.

/// The state of a [`Consumer`](super::Consumer); watch it with [`Consumer::state`](super::Consumer::state).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerState {
    /// Not subscribed yet, or again; the text says why the last try failed.
    Connecting(Option<String>),
    /// Takes messages.
    Running,
    /// Takes no more and finishes what runs.
    Draining,
    /// Has ended.
    Stopped,
}

impl ConsumerState {
    /// Whether it takes messages.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }
}
