//! The facts a student leaves behind.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Student;
use crate::clock::uuid_at;
use crate::context::Actor;

/// Something that happened to a student. Committed together with the state it left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudentEvent {
    /// Names this event, however often it is delivered.
    pub id: EventId,
    /// What happened.
    pub kind: StudentEventKind,
    /// The state the event left behind; after a removal the last state, one version further.
    pub student: Student,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Who did it, when known.
    pub actor: Option<Actor>,
}

/// What can happen to a student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StudentEventKind {
    /// It was enrolled.
    Created,
    /// Something of it was changed.
    Updated,
    /// It was removed.
    Deleted,
}

impl StudentEventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Deleted];

    /// The name of the fact, as it is stored and told. Never changes.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Created => "StudentCreated",
            Self::Updated => "StudentUpdated",
            Self::Deleted => "StudentDeleted",
        }
    }

    /// The kind with that [`type_name`](Self::type_name).
    pub fn from_type_name(type_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_name() == type_name)
    }
}

/// Names one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
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

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_type_name() {
        for kind in StudentEventKind::ALL {
            assert_eq!(StudentEventKind::from_type_name(kind.type_name()), Some(kind));
        }
        assert_eq!(StudentEventKind::from_type_name("StudentCached"), None);
    }
}
