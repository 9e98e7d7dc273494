//! A student as others read it.

use std::error::Error;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text;
use crate::context::Actor;
use crate::student::{Audit, Email, PersonName, Student, StudentId, StudentNumber, Version};

/// A student on the wire. The fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StudentBody {
    /// Names the student for ever.
    #[serde(with = "text::id")]
    pub id: Uuid,
    /// The number people know the student by.
    pub number: u64,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Email address.
    pub email: String,
    /// Grows by one with every write that changes something.
    pub version: u64,
    /// How many events of this student have been worked off.
    pub updates: u64,
    /// When it was enrolled.
    #[serde(with = "text::time")]
    pub created: DateTime<Utc>,
    /// Who enrolled it.
    pub created_by: Option<String>,
    /// When it was last changed.
    #[serde(with = "text::time")]
    pub last_modified: DateTime<Utc>,
    /// Who last changed it.
    pub last_modified_by: Option<String>,
}

impl From<&Student> for StudentBody {
    fn from(student: &Student) -> Self {
        let Student { id, number, first_name, last_name, email, version, updates, audit } = student;
        let Audit { created, created_by, last_modified, last_modified_by } = audit;
        let name = |actor: &Option<Actor>| actor.as_ref().map(ToString::to_string);
        Self {
            id: id.as_uuid(),
            number: number.get(),
            first_name: first_name.to_string(),
            last_name: last_name.to_string(),
            email: email.to_string(),
            version: version.get(),
            updates: *updates,
            created: *created,
            created_by: name(created_by),
            last_modified: *last_modified,
            last_modified_by: name(last_modified_by),
        }
    }
}

impl TryFrom<StudentBody> for Student {
    type Error = MalformedMessage;

    /// Reads a student back; times are cut to whole milliseconds.
    fn try_from(body: StudentBody) -> Result<Self, Self::Error> {
        let StudentBody { id, number, first_name, last_name, email, version, updates, .. } = body;
        Ok(Self {
            id: StudentId::new(id),
            number: StudentNumber::new(number).map_err(MalformedMessage::at("number"))?,
            first_name: PersonName::parse(&first_name).map_err(MalformedMessage::at("firstName"))?,
            last_name: PersonName::parse(&last_name).map_err(MalformedMessage::at("lastName"))?,
            email: Email::parse(&email).map_err(MalformedMessage::at("email"))?,
            version: Version::new(version)
                .ok_or("versions start at 1")
                .map_err(MalformedMessage::at("version"))?,
            updates,
            audit: Audit {
                created: body.created.trunc_subsecs(3),
                created_by: actor(body.created_by, "createdBy")?,
                last_modified: body.last_modified.trunc_subsecs(3),
                last_modified_by: actor(body.last_modified_by, "lastModifiedBy")?,
            },
        })
    }
}

/// A message has the right form but says what cannot be.
#[derive(Debug, thiserror::Error)]
#[error("field {field} of a message makes no sense")]
pub struct MalformedMessage {
    field: &'static str,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

impl MalformedMessage {
    /// The field, as it is called on the wire.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    pub(super) fn at<E: Into<Box<dyn Error + Send + Sync>>>(field: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self { field, cause: cause.into() }
    }
}

pub(super) fn actor(name: Option<String>, field: &'static str) -> Result<Option<Actor>, MalformedMessage> {
    name.map(Actor::new).transpose().map_err(MalformedMessage::at(field))
}
