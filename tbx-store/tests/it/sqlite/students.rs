//! The students' port on SQLite passes the suite.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tbx_core::Students;
use tbx_store::conformance::students::StoredStudents;
use tbx_store::students::sqlite::SqliteStudents;

use super::support::{Fixture, fixture};

#[async_trait]
impl StoredStudents for Fixture {
    fn students(&self) -> Arc<dyn Students> {
        Arc::new(SqliteStudents::new(self.database.clone(), self.outbox.clone()))
    }

    async fn bodies(&self, channel: &str) -> Vec<Bytes> {
        let bodies: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT body FROM tbx_outbox WHERE channel = ? ORDER BY id")
                .bind(channel)
                .fetch_all(self.database.writer())
                .await
                .unwrap();
        bodies.into_iter().map(Bytes::from).collect()
    }
}

tbx_store::students_conformance! {
    harness: fixture().await,
}
