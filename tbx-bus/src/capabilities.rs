//! What a bus can do, said before it surprises anyone at run time.

/// What a bus can do. The conformance suite checks that they agree with what a backend claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// When a stored copy of a published message may be given up.
    pub settles_on: SettlesOn,
    /// Whether receipts resolve their *finished* moment.
    pub reports_finished: bool,
}

impl Capabilities {
    /// A bus that keeps messages through its own restart: a stored copy may be given up on *accepted*.
    #[must_use]
    pub const fn durable() -> Self {
        Self { settles_on: SettlesOn::Accepted, reports_finished: false }
    }

    /// A bus that forgets with its process: a stored copy may be given up only on *finished*.
    #[must_use]
    pub const fn in_process() -> Self {
        Self { settles_on: SettlesOn::Finished, reports_finished: true }
    }
}

/// The moment from which on the bus answers for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettlesOn {
    /// The bus holds the message durably once it accepted it.
    Accepted,
    /// The message is safe only once every durable group is done with it.
    Finished,
}
