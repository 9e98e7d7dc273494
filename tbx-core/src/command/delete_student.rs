//! Removing a student.

use std::sync::Arc;
use std::task;

use tower_service::Service;

use super::MAX_TRIES;
use crate::context::Context;
use crate::store::{StoreError, StudentCache, Students};
use crate::student::{EventId, Student, StudentRef, Version, remove};
use crate::use_case::{Request, UseCaseError, UseCaseFuture, require_version};

/// The wish to remove a student.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteStudent {
    /// Which student.
    pub student: StudentRef,
    /// The version it must still have; nothing when any will do.
    pub expected: Option<Version>,
}

/// Removes students. A clone shares the store and the cache.
#[derive(Debug, Clone)]
pub struct DeleteStudentHandler {
    students: Arc<dyn Students>,
    cache: Arc<dyn StudentCache>,
}

impl DeleteStudentHandler {
    /// A handler on that store and cache.
    pub fn new(students: Arc<dyn Students>, cache: Arc<dyn StudentCache>) -> Self {
        Self { students, cache }
    }

    /// Removes a student, has the cache remember that, and returns the last state.
    ///
    /// When somebody else is faster, the decision is made anew on what they left: a bounded number of times, without
    /// waiting.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::NotFound`]; [`UseCaseError::Stale`] when the student does not have the expected version;
    /// [`UseCaseError::Conflict`] when others were faster every time; [`UseCaseError::Store`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the student is removed with its event or not at all. The cache may not know yet.
    pub async fn execute(&self, ctx: &Context, message: DeleteStudent) -> Result<Student, UseCaseError> {
        let event_id = EventId::generate(ctx.now);
        for _ in 0..MAX_TRIES {
            let student = self.students.find(message.student).await?.ok_or(UseCaseError::NotFound)?;
            require_version(&student, message.expected)?;
            match self.students.remove(remove(&student, event_id, ctx), ctx).await {
                Ok(last) => {
                    self.cache.remember_deleted(&last).await;
                    return Ok(last);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(UseCaseError::Conflict)
    }
}

impl Service<Request<DeleteStudent>> for DeleteStudentHandler {
    type Response = Student;
    type Error = UseCaseError;
    type Future = UseCaseFuture<Student>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<DeleteStudent>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { handler.execute(&request.context, request.message).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStudentCache;
    use crate::store::CacheLookup;
    use crate::testing::{Contended, ctx, with_ada};

    #[tokio::test]
    async fn a_removed_student_is_gone_from_store_and_cache() {
        let (students, ada) = with_ada().await;
        let cache = MemoryStudentCache::new();
        let mut handler = DeleteStudentHandler::new(Arc::new(students.clone()), Arc::new(cache.clone()));
        let message = DeleteStudent { student: ada.number.into(), expected: Some(Version::FIRST) };

        let last = handler.call(Request::new(ctx(), message)).await.unwrap();
        assert_eq!(last.version.get(), 2);
        assert_eq!(students.find(ada.id.into()).await.unwrap(), None);
        assert_eq!(cache.get(ada.id.into()).await, CacheLookup::Deleted);

        let again = handler.call(Request::new(ctx(), message)).await;
        assert!(matches!(again, Err(UseCaseError::NotFound)));
        assert_eq!(students.events().len(), 2);
    }

    #[tokio::test]
    async fn who_is_overtaken_decides_anew_unless_a_version_was_expected() {
        let (students, ada) = with_ada().await;
        let contended = Contended::new(students, 1);
        let handler =
            DeleteStudentHandler::new(Arc::new(contended.clone()), Arc::new(MemoryStudentCache::new()));

        let expecting = DeleteStudent { student: ada.id.into(), expected: Some(Version::FIRST) };
        let error = handler.execute(&ctx(), expecting).await;
        assert!(matches!(error, Err(UseCaseError::Stale { current }) if current.get() == 2));

        contended.overtake(2);
        let any = DeleteStudent { expected: None, ..expecting };
        assert_eq!(handler.execute(&ctx(), any).await.unwrap().version.get(), 5);
    }
}
