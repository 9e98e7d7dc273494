//! What is told about a student.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

use super::student::actor;
use super::{MalformedMessage, StudentBody, TOPIC_CACHED, TYPE_CACHED, text, topic_of};
use crate::student::{EventId, Student, StudentEvent, StudentEventKind};

/// An event or notification on the wire. The fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StudentMessage {
    /// Names this message, however often it is delivered.
    #[serde(with = "text::id")]
    pub id: Uuid,
    /// What happened.
    pub event_type: String,
    /// The topic it is told under.
    pub routing_key: String,
    /// The state it left behind.
    pub student: StudentBody,
    /// When it happened.
    #[serde(with = "text::time")]
    pub timestamp: DateTime<Utc>,
    /// Who did it.
    pub user_id: Option<String>,
}

impl StudentMessage {
    /// An event, for workers.
    pub fn event(event: &StudentEvent) -> Self {
        let StudentEvent { id, kind, student, occurred_at, actor } = event;
        Self {
            id: id.as_uuid(),
            event_type: kind.type_name().to_owned(),
            routing_key: topic_of(*kind).to_owned(),
            student: student.into(),
            timestamp: *occurred_at,
            user_id: actor.as_ref().map(ToString::to_string),
        }
    }

    /// The notification of an event: the same under an id of its own, [`notification_id`].
    pub fn notification(event: &StudentEvent) -> Self {
        Self { id: notification_id(event.id), ..Self::event(event) }
    }

    /// The notification that `student` was written to the cache because of `cause`, under the id [`cached_id`].
    pub fn cached(cause: &StudentEvent, student: &Student, now: DateTime<Utc>) -> Self {
        Self {
            id: cached_id(cause.id),
            event_type: TYPE_CACHED.to_owned(),
            routing_key: TOPIC_CACHED.to_owned(),
            student: student.into(),
            timestamp: now,
            user_id: cause.actor.as_ref().map(ToString::to_string),
        }
    }
}

impl TryFrom<StudentMessage> for StudentEvent {
    type Error = MalformedMessage;

    /// Reads back what [`StudentMessage::event`] has written. A notification reads as well, but as an event with the
    /// id of the notification.
    fn try_from(message: StudentMessage) -> Result<Self, Self::Error> {
        let StudentMessage { id, event_type, routing_key, student, timestamp, user_id } = message;
        let kind = StudentEventKind::from_type_name(&event_type)
            .ok_or("no event has this type")
            .map_err(MalformedMessage::at("eventType"))?;
        if routing_key != topic_of(kind) {
            return Err(MalformedMessage::at("routingKey")("not the topic of the event type"));
        }
        Ok(Self {
            id: EventId::new(id),
            kind,
            student: student.try_into()?,
            occurred_at: timestamp.trunc_subsecs(3),
            actor: actor(user_id, "userId")?,
        })
    }
}

/// The id of the notification of an event: always the same, so that one published twice is recognized.
pub fn notification_id(event: EventId) -> Uuid {
    Uuid::new_v5(&NOTIFICATIONS, event.as_uuid().as_bytes())
}

/// The id of the notification that the student of an event was cached: always the same, as with [`notification_id`].
pub fn cached_id(event: EventId) -> Uuid {
    Uuid::new_v5(&CACHED, event.as_uuid().as_bytes())
}

const NOTIFICATIONS: Uuid = uuid!("0b6e2a5c-3f1d-4d0e-8a57-9c4d7e1f2a01");
const CACHED: Uuid = uuid!("0b6e2a5c-3f1d-4d0e-8a57-9c4d7e1f2a02");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Actor;
    use crate::testing::with_ada;

    #[tokio::test]
    async fn an_event_reads_back_and_other_messages_are_refused() {
        let (students, student) = with_ada().await;
        let mut event = students.events().remove(0);
        event.actor = Actor::new("alice").ok();
        let message = StudentMessage::event(&event);
        assert_eq!(StudentEvent::try_from(message.clone()).unwrap(), event);

        let refused = |message: StudentMessage| StudentEvent::try_from(message).unwrap_err().field();
        let cached = StudentMessage::cached(&event, &student, event.occurred_at);
        assert_eq!(refused(cached), "eventType");
        let elsewhere = StudentMessage { routing_key: "student.updated".to_owned(), ..message.clone() };
        assert_eq!(refused(elsewhere), "routingKey");
        let nobody = StudentMessage { user_id: Some(String::new()), ..message.clone() };
        assert_eq!(refused(nobody), "userId");
        for (spoil, field) in [
            ((|body| body.number = 0) as fn(&mut StudentBody), "number"),
            (|body| body.first_name.clear(), "firstName"),
            (|body| body.last_name.clear(), "lastName"),
            (|body| body.email.clear(), "email"),
            (|body| body.version = 0, "version"),
            (|body| body.created_by = Some("\n".to_owned()), "createdBy"),
        ] {
            let mut message = message.clone();
            spoil(&mut message.student);
            assert_eq!(refused(message), field);
        }
    }

    #[tokio::test]
    async fn derived_ids_are_stable_and_distinct() {
        let id = EventId::new(uuid!("0190b5a4-7c1e-7a3b-8f00-0123456789ab"));
        assert_eq!(notification_id(id), notification_id(id));
        assert_ne!(notification_id(id), cached_id(id));
        assert_ne!(notification_id(id), id.as_uuid());
        assert_eq!(notification_id(id).get_version_num(), 5);
    }
}
