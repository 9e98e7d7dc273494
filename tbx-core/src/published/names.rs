//! The names others know things by. They never change.

use crate::student::{StudentEventKind, StudentField};

/// The channel of domain events, for workers.
pub const EVENTS_CHANNEL: &str = "tbx.events";
/// The channel of notifications, for notifiers.
pub const NOTIFICATIONS_CHANNEL: &str = "notifications";
/// The durable group of the workers.
pub const WORKER_GROUP: &str = "tbx.worker";
/// The durable group of the notifiers.
pub const NOTIFIER_GROUP: &str = "tbx.notifier";

/// The topic of enrolments.
pub const TOPIC_CREATED: &str = "student.created";
/// The topic of changes.
pub const TOPIC_UPDATED: &str = "student.updated";
/// The topic of removals.
pub const TOPIC_DELETED: &str = "student.deleted";
/// The topic that tells of students written to the cache; only among notifications.
pub const TOPIC_CACHED: &str = "student.cached";

/// The type of the message that tells of a student written to the cache. No event has this type.
pub const TYPE_CACHED: &str = "StudentCached";

/// The topic of events of that kind, and of their notifications.
pub const fn topic_of(kind: StudentEventKind) -> &'static str {
    match kind {
        StudentEventKind::Created => TOPIC_CREATED,
        StudentEventKind::Updated => TOPIC_UPDATED,
        StudentEventKind::Deleted => TOPIC_DELETED,
    }
}

/// The name of a field of [`StudentBody`](super::StudentBody), for pointers to what is wrong.
pub const fn field_name(field: StudentField) -> &'static str {
    match field {
        StudentField::FirstName => "firstName",
        StudentField::LastName => "lastName",
        StudentField::Email => "email",
    }
}
