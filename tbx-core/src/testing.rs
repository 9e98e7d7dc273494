//! What the unit tests of the use cases share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::DateTime;

use crate::command::{CreateStudent, StudentInput};
use crate::context::Context;
use crate::memory::MemoryStudents;
use crate::page::Page;
use crate::query::ListStudents;
use crate::request_key::RequestKey;
use crate::store::{AnnounceError, Announcer, Counted, Enrolled, StoreError, Students};
use crate::student::{
    Change, Decision, Enrolment, EventId, PersonName, Removal, Student, StudentChange, StudentEvent,
    StudentId, StudentRef, change, enrol,
};

pub(crate) fn ctx() -> Context {
    Context::new(DateTime::from_timestamp_millis(1_700_000_000_123).unwrap())
}

pub(crate) fn ada() -> CreateStudent {
    StudentInput { first_name: Some("Ada"), last_name: Some("Lovelace"), email: Some("ada@example.org") }
        .create()
        .unwrap()
}

pub(crate) async fn with_ada() -> (MemoryStudents, Student) {
    let (students, ctx) = (MemoryStudents::new(), ctx());
    let enrolment = enrol(ada(), StudentId::generate(ctx.now), EventId::generate(ctx.now), &ctx);
    let student = students.enrol(enrolment, &ctx).await.unwrap();
    (students, student)
}

/// A store with a rival who changes the student right before a write, a given number of times.
#[derive(Debug, Clone)]
pub(crate) struct Contended {
    inner: MemoryStudents,
    times: Arc<AtomicU64>,
}

impl Contended {
    pub(crate) fn new(inner: MemoryStudents, times: u64) -> Self {
        Self { inner, times: Arc::new(AtomicU64::new(times)) }
    }

    pub(crate) fn overtake(&self, times: u64) {
        self.times.store(times, Ordering::SeqCst);
    }

    async fn rival(&self, id: StudentId) {
        let Some(left) = self.times.load(Ordering::SeqCst).checked_sub(1) else { return };
        self.overtake(left);
        let student = self.inner.find(id.into()).await.unwrap().unwrap();
        let name = format!("Rival {}", student.version);
        let wish = StudentChange { first_name: PersonName::parse(&name).ok(), ..StudentChange::default() };
        let Decision::Changed(change) = change(&student, wish, EventId::generate(ctx().now), &ctx()) else {
            panic!("every rival has another name")
        };
        self.inner.save(change, &ctx()).await.unwrap();
    }
}

#[async_trait]
impl Students for Contended {
    async fn enrol(&self, enrolment: Enrolment, ctx: &Context) -> Result<Student, StoreError> {
        self.inner.enrol(enrolment, ctx).await
    }

    async fn enrol_once(
        &self,
        enrolment: Enrolment,
        key: &RequestKey,
        ctx: &Context,
    ) -> Result<Enrolled, StoreError> {
        self.inner.enrol_once(enrolment, key, ctx).await
    }

    async fn find(&self, student: StudentRef) -> Result<Option<Student>, StoreError> {
        self.inner.find(student).await
    }

    async fn save(&self, change: Change, ctx: &Context) -> Result<Student, StoreError> {
        self.rival(change.student().id).await;
        self.inner.save(change, ctx).await
    }

    async fn remove(&self, removal: Removal, ctx: &Context) -> Result<Student, StoreError> {
        self.rival(removal.student().id).await;
        self.inner.remove(removal, ctx).await
    }

    async fn list(&self, query: &ListStudents) -> Result<Page<Student>, StoreError> {
        self.inner.list(query).await
    }

    async fn count_event(&self, event: &StudentEvent, ctx: &Context) -> Result<Counted, StoreError> {
        self.inner.count_event(event, ctx).await
    }
}

/// Remembers whose announcements were made.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordingAnnouncer {
    announced: Arc<Mutex<Vec<EventId>>>,
}

impl RecordingAnnouncer {
    pub(crate) fn announced(&self) -> Vec<EventId> {
        self.announced.lock().unwrap().clone()
    }
}

#[async_trait]
impl Announcer for RecordingAnnouncer {
    async fn announce_cached(
        &self,
        cause: &StudentEvent,
        _: &Student,
        _: &Context,
    ) -> Result<(), AnnounceError> {
        self.announced.lock().unwrap().push(cause.id);
        Ok(())
    }
}
