//! Working off an event.

use std::sync::Arc;
use std::task;

use tower_service::Service;

use crate::context::Context;
use crate::store::{Announcer, Counted, StudentCache, Students};
use crate::student::{StudentEvent, StudentEventKind};
use crate::use_case::{Request, UseCaseError, UseCaseFuture};

/// Works off the events of students. A clone shares the ports.
///
/// Events of one student must come one at a time and in order; events of different students may come at once. An event
/// may come again: it is counted and notified once, and what is repeated does no harm.
#[derive(Debug, Clone)]
pub struct ProcessStudentEventHandler {
    students: Arc<dyn Students>,
    cache: Arc<dyn StudentCache>,
    announcer: Arc<dyn Announcer>,
}

impl ProcessStudentEventHandler {
    /// A handler on that store, cache and announcer.
    pub fn new(
        students: Arc<dyn Students>,
        cache: Arc<dyn StudentCache>,
        announcer: Arc<dyn Announcer>,
    ) -> Self {
        Self { students, cache, announcer }
    }

    /// Counts an event, writes the cache through, and announces what is cached.
    ///
    /// The cache is written after the commit and on a redelivery too, so that a crash in between is mended by the next
    /// delivery. A cache that cannot be written holds up nothing: it makes up for it later by itself. Nothing is announced
    /// then, nor of a student that is gone.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::Store`] when the event could not be counted, [`UseCaseError::Announce`] when it was but the
    /// announcement was not accepted. In both cases the event may be delivered again.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the event is counted or not; a redelivery does what is left.
    pub async fn execute(&self, ctx: &Context, event: StudentEvent) -> Result<Counted, UseCaseError> {
        let counted = self.students.count_event(&event, ctx).await?;
        if event.kind == StudentEventKind::Deleted {
            self.cache.remember_deleted(&event.student).await;
            return Ok(counted);
        }
        if let Some(student) = &counted.student
            && self.cache.put(student).await
        {
            self.announcer.announce_cached(&event, student, ctx).await.map_err(UseCaseError::Announce)?;
        }
        Ok(counted)
    }
}

impl Service<Request<StudentEvent>> for ProcessStudentEventHandler {
    type Response = Counted;
    type Error = UseCaseError;
    type Future = UseCaseFuture<Counted>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<StudentEvent>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { handler.execute(&request.context, request.message).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{DeleteStudent, DeleteStudentHandler};
    use crate::memory::{MemoryStudentCache, MemoryStudents};
    use crate::store::{CacheLookup, NoCache, StoreError};
    use crate::testing::{RecordingAnnouncer, ctx, with_ada};

    fn handler(
        students: &MemoryStudents,
        cache: &MemoryStudentCache,
        announcer: &RecordingAnnouncer,
    ) -> ProcessStudentEventHandler {
        ProcessStudentEventHandler::new(
            Arc::new(students.clone()),
            Arc::new(cache.clone()),
            Arc::new(announcer.clone()),
        )
    }

    #[tokio::test]
    async fn an_event_is_counted_once_and_its_student_cached_and_announced_each_time() {
        let (students, ada) = with_ada().await;
        let (cache, announcer) = (MemoryStudentCache::new(), RecordingAnnouncer::default());
        let mut handler = handler(&students, &cache, &announcer);
        let event = students.events().remove(0);

        for first_time in [true, false] {
            let counted = handler.call(Request::new(ctx(), event.clone())).await.unwrap();
            assert_eq!(counted.first_time, first_time);
            assert_eq!(counted.student.as_ref().map(|student| student.updates), Some(1));
            assert_eq!(counted.student.map(CacheLookup::Found), Some(cache.get(ada.id.into()).await));
        }
        assert_eq!(students.notifications(), std::slice::from_ref(&event));
        assert_eq!(announcer.announced(), [event.id, event.id]);
    }

    #[tokio::test]
    async fn a_removal_is_notified_remembered_and_not_announced() {
        let (students, ada) = with_ada().await;
        let (cache, announcer) = (MemoryStudentCache::new(), RecordingAnnouncer::default());
        let handler = handler(&students, &cache, &announcer);
        let delete = DeleteStudentHandler::new(Arc::new(students.clone()), Arc::new(NoCache));
        delete.execute(&ctx(), DeleteStudent { student: ada.id.into(), expected: None }).await.unwrap();

        for event in students.events() {
            let counted = handler.execute(&ctx(), event).await.unwrap();
            assert_eq!(counted, Counted { first_time: true, student: None });
        }
        assert_eq!(students.notifications(), students.events());
        assert_eq!(cache.get(ada.id.into()).await, CacheLookup::Deleted);
        assert!(announcer.announced().is_empty());
    }

    #[tokio::test]
    async fn what_could_not_be_cached_is_counted_and_not_announced() {
        let (students, _) = with_ada().await;
        let announcer = RecordingAnnouncer::default();
        let (store, voice) = (Arc::new(students.clone()), Arc::new(announcer.clone()));
        let handler = ProcessStudentEventHandler::new(store, Arc::new(NoCache), voice);
        let event = students.events().remove(0);
        let counted = handler.execute(&ctx(), event.clone()).await.unwrap();
        assert!(counted.first_time && counted.student.is_some());
        assert_eq!(students.notifications(), [event]);
        assert!(announcer.announced().is_empty());
    }

    #[tokio::test]
    async fn an_event_ahead_of_its_row_is_refused_for_good() {
        let (students, _) = with_ada().await;
        let (cache, announcer) = (MemoryStudentCache::new(), RecordingAnnouncer::default());
        let mut event = students.events().remove(0);
        event.student.version = event.student.version.next();
        let error = handler(&students, &cache, &announcer).execute(&ctx(), event).await.unwrap_err();
        assert!(matches!(error, UseCaseError::Store(StoreError::RowBehindEvent { .. })));
        assert!(!error.is_retryable());
        assert!(students.notifications().is_empty());
    }
}
