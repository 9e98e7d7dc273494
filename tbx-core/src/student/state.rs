//! The state of a student.

use chrono::{DateTime, Utc};

use super::{Email, PersonName, StudentId, StudentNumber, Version};
use crate::context::Actor;

/// A student as it is at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Student {
    /// Names the student for ever.
    pub id: StudentId,
    /// The number people know the student by.
    pub number: StudentNumber,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// Email address; no other student has one with the same key.
    pub email: Email,
    /// Grows by one with every write that changes something.
    pub version: Version,
    /// How many events of this student have been worked off. Trails the version and changes neither it nor the audit.
    pub updates: u64,
    /// Who made and changed it, and when.
    pub audit: Audit,
}

impl Student {
    /// What tells an older state from a newer one: version first, then the events worked off.
    pub const fn revision(&self) -> (Version, u64) {
        (self.version, self.updates)
    }
}

/// Who made and last changed a student, and when, in whole milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When it was enrolled.
    pub created: DateTime<Utc>,
    /// Who enrolled it, when known.
    pub created_by: Option<Actor>,
    /// When it was last changed; the moment of enrolment when never.
    pub last_modified: DateTime<Utc>,
    /// Who last changed it, when known.
    pub last_modified_by: Option<Actor>,
}
