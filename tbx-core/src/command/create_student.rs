//! Enrolling a student.

use std::sync::Arc;
use std::task;

use tower_service::Service;

use crate::context::Context;
use crate::request_key::RequestKey;
use crate::store::{Enrolled, StudentCache, Students};
use crate::student::{Email, EventId, PersonName, Student, StudentId, enrol};
use crate::use_case::{Request, UseCaseError, UseCaseFuture};

/// The wish to enrol a student. [`StudentInput`](super::StudentInput) makes one of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStudent {
    /// The first name.
    pub first_name: PersonName,
    /// The last name.
    pub last_name: PersonName,
    /// The email address.
    pub email: Email,
}

/// Enrols students. A clone shares the store and the cache.
#[derive(Debug, Clone)]
pub struct CreateStudentHandler {
    students: Arc<dyn Students>,
    cache: Arc<dyn StudentCache>,
}

impl CreateStudentHandler {
    /// A handler on that store and cache.
    pub fn new(students: Arc<dyn Students>, cache: Arc<dyn StudentCache>) -> Self {
        Self { students, cache }
    }

    /// Enrols a student, then puts it into the cache, and returns it.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::EmailTaken`] when another student has the address; [`UseCaseError::Store`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the student is enrolled with its event or not at all. The cache may not have it yet.
    pub async fn execute(&self, ctx: &Context, message: CreateStudent) -> Result<Student, UseCaseError> {
        let enrolment = enrol(message, StudentId::generate(ctx.now), EventId::generate(ctx.now), ctx);
        let student = self.students.enrol(enrolment, ctx).await?;
        self.cache.put(&student).await;
        Ok(student)
    }
}

impl CreateStudentHandler {
    /// Enrols a student once, however often the wish is repeated under `key`, and returns it as it was enrolled.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::KeyReused`] when the key belongs to another wish; [`UseCaseError::KeyInUse`] when the first
    /// request of this key does not come to an end; else as [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As [`execute`](Self::execute); whoever repeats it finds out what became of it.
    pub async fn execute_once(
        &self,
        ctx: &Context,
        key: &RequestKey,
        message: CreateStudent,
    ) -> Result<Enrolled, UseCaseError> {
        let enrolment = enrol(message, StudentId::generate(ctx.now), EventId::generate(ctx.now), ctx);
        let enrolled = self.students.enrol_once(enrolment, key, ctx).await?;
        if enrolled.first_time {
            // A repetition tells of the past: the student may be gone, and the cache may have forgotten that.
            self.cache.put(&enrolled.student).await;
        }
        Ok(enrolled)
    }
}

impl Service<Request<CreateStudent>> for CreateStudentHandler {
    type Response = Student;
    type Error = UseCaseError;
    type Future = UseCaseFuture<Student>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<CreateStudent>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { handler.execute(&request.context, request.message).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{MemoryStudentCache, MemoryStudents};
    use crate::store::CacheLookup;
    use crate::testing::{ada, ctx};

    #[tokio::test]
    async fn a_new_student_is_stored_cached_and_told() {
        let students = MemoryStudents::new();
        let cache = MemoryStudentCache::new();
        let mut handler = CreateStudentHandler::new(Arc::new(students.clone()), Arc::new(cache.clone()));

        let student = handler.call(Request::new(ctx(), ada())).await.unwrap();

        assert_eq!(students.find(student.id.into()).await.unwrap(), Some(student.clone()));
        assert_eq!(cache.get(student.number.into()).await, CacheLookup::Found(student.clone()));
        assert_eq!(students.events().len(), 1);

        let again = handler.call(Request::new(ctx(), ada())).await;
        assert!(matches!(again, Err(UseCaseError::EmailTaken)));
        assert_eq!(students.events().len(), 1);
    }

    #[tokio::test]
    async fn a_repetition_under_a_key_gets_the_same_student_and_does_not_touch_the_cache() {
        let students = MemoryStudents::new();
        let handler = |cache: &MemoryStudentCache| {
            CreateStudentHandler::new(Arc::new(students.clone()), Arc::new(cache.clone()))
        };
        let key = RequestKey::new("k").unwrap();
        let cache = MemoryStudentCache::new();
        let first = handler(&cache).execute_once(&ctx(), &key, ada()).await.unwrap();
        assert!(first.first_time);
        assert_eq!(cache.get(first.student.id.into()).await, CacheLookup::Found(first.student.clone()));

        let forgetful = MemoryStudentCache::new();
        let again = handler(&forgetful).execute_once(&ctx(), &key, ada()).await.unwrap();
        assert_eq!(again, Enrolled { first_time: false, student: first.student.clone() });
        assert_eq!(forgetful.get(first.student.id.into()).await, CacheLookup::Miss);
        assert_eq!(students.events().len(), 1);
    }
}
