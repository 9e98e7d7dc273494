//! The students' port on SQLite passes the suite of `tbx-core`.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row;
use tbx_core::conformance::students::StudentsHarness;
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL, StudentMessage, notification_id};
use tbx_core::{EventId, StudentEvent, Students};
use tbx_store::students::sqlite::SqliteStudents;

use super::support::{Fixture, fixture};

struct Sqlite(Fixture, SqliteStudents);

impl Sqlite {
    async fn bodies(&self, channel: &str) -> Vec<StudentMessage> {
        sqlx::query("SELECT body FROM tbx_outbox WHERE channel = ? ORDER BY id")
            .bind(channel)
            .fetch_all(self.0.database.writer())
            .await
            .unwrap()
            .iter()
            .map(|row| serde_json::from_slice(row.get(0)).unwrap())
            .collect()
    }
}

#[async_trait]
impl StudentsHarness for Sqlite {
    fn students(&self) -> Arc<dyn Students> {
        Arc::new(self.1.clone())
    }

    async fn emitted(&self) -> Vec<StudentEvent> {
        let bodies = self.bodies(EVENTS_CHANNEL).await;
        bodies.into_iter().map(|body| StudentEvent::try_from(body).unwrap()).collect()
    }

    async fn notified(&self) -> Vec<EventId> {
        let events = self.emitted().await;
        let event_of = |notification: &StudentMessage| {
            events.iter().find(|event| notification_id(event.id) == notification.id).unwrap().id
        };
        self.bodies(NOTIFICATIONS_CHANNEL).await.iter().map(event_of).collect()
    }
}

async fn sqlite() -> Sqlite {
    let fixture = fixture().await;
    let students = SqliteStudents::new(fixture.database.clone(), fixture.outbox.clone());
    Sqlite(fixture, students)
}

tbx_core::students_conformance!(sqlite());
