//! The id of a student.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::clock::uuid_at;

/// Names one student for ever, also after it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudentId(Uuid);

impl StudentId {
    /// The id with that UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// A fresh id. Ids sort by the moment `now` they were made at.
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self(uuid_at(now))
    }

    /// The UUID of this id.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for StudentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

impl FromStr for StudentId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
