//! The exchange behind one bus.

use std::sync::Arc;

use super::names;
use crate::{BusError, Unroutable};

/// A topic exchange that a bus publishes to and its groups are bound to, and the one beside it, `<name>.private`, for private topics.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Exchange {
    pub(super) name: Arc<str>,
    pub(super) private: Arc<str>,
    pub(super) unroutable: Unroutable,
}

impl Exchange {
    /// The exchange of that name. A message that nobody takes is refused.
    ///
    /// # Errors
    ///
    /// When the broker takes no such name.
    pub fn new(name: &str) -> Result<Self, BusError> {
        names::check("an exchange", name)?;
        Ok(Self {
            name: name.into(),
            private: names::private_exchange(name).into(),
            unroutable: Unroutable::Refuse,
        })
    }

    /// What to do with a message that nobody takes.
    pub fn with_unroutable(mut self, unroutable: Unroutable) -> Self {
        self.unroutable = unroutable;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
