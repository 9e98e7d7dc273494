//! Reading one student.

use std::sync::Arc;
use std::task;

use tower_service::Service;

use crate::context::Context;
use crate::store::{CacheLookup, StudentCache, Students};
use crate::student::{Student, StudentRef};
use crate::use_case::{Request, UseCaseError, UseCaseFuture};

/// The wish to read a student.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetStudent {
    /// Which student.
    pub student: StudentRef,
    /// Where it may come from.
    pub freshness: Freshness,
}

/// Where a student may be read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// From the cache when it is there.
    #[default]
    Cached,
    /// From the store, whatever the cache has.
    Stored,
}

/// Reads students through the cache. A clone shares the store and the cache.
#[derive(Debug, Clone)]
pub struct GetStudentHandler {
    students: Arc<dyn Students>,
    cache: Arc<dyn StudentCache>,
}

impl GetStudentHandler {
    /// A handler on that store and cache.
    pub fn new(students: Arc<dyn Students>, cache: Arc<dyn StudentCache>) -> Self {
        Self { students, cache }
    }

    /// Reads a student. What comes from the store is put into the cache.
    ///
    /// Who wrote through the same cache reads their own writes, since a write puts its state there before it returns.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::NotFound`]; [`UseCaseError::Store`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed but the cache.
    pub async fn execute(&self, _: &Context, message: GetStudent) -> Result<Student, UseCaseError> {
        if message.freshness == Freshness::Cached {
            match self.cache.get(message.student).await {
                CacheLookup::Found(student) => return Ok(student),
                CacheLookup::Deleted => return Err(UseCaseError::NotFound),
                CacheLookup::Miss => {}
            }
        }
        let student = self.students.find(message.student).await?.ok_or(UseCaseError::NotFound)?;
        self.cache.put(&student).await;
        Ok(student)
    }
}

impl Service<Request<GetStudent>> for GetStudentHandler {
    type Response = Student;
    type Error = UseCaseError;
    type Future = UseCaseFuture<Student>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<GetStudent>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { handler.execute(&request.context, request.message).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStudentCache;
    use crate::student::StudentNumber;
    use crate::testing::{ctx, with_ada};

    #[tokio::test]
    async fn a_student_is_read_from_the_cache_unless_the_store_is_asked_for() {
        let (students, stored) = with_ada().await;
        let cache = MemoryStudentCache::new();
        let mut handler = GetStudentHandler::new(Arc::new(students), Arc::new(cache.clone()));
        let get = |freshness| Request::new(ctx(), GetStudent { student: stored.number.into(), freshness });

        assert_eq!(handler.call(get(Freshness::Cached)).await.unwrap(), stored);
        assert_eq!(cache.get(stored.id.into()).await, CacheLookup::Found(stored.clone()));

        let cached = Student { updates: 9, ..stored.clone() };
        cache.put(&cached).await;
        assert_eq!(handler.call(get(Freshness::Cached)).await.unwrap(), cached);
        assert_eq!(handler.call(get(Freshness::Stored)).await.unwrap(), stored);

        cache.remember_deleted(&cached).await;
        assert!(matches!(handler.call(get(Freshness::Cached)).await, Err(UseCaseError::NotFound)));
    }

    #[tokio::test]
    async fn nobody_is_not_found() {
        let (students, _) = with_ada().await;
        let handler = GetStudentHandler::new(Arc::new(students), Arc::new(MemoryStudentCache::new()));
        let student = StudentNumber::new(2).unwrap().into();
        let nobody = GetStudent { student, freshness: Freshness::Cached };
        assert!(matches!(handler.execute(&ctx(), nobody).await, Err(UseCaseError::NotFound)));
    }
}
