//! Changing a student.

use std::sync::Arc;
use std::task;

use tower_service::Service;

use super::MAX_TRIES;
use crate::context::Context;
use crate::store::{StoreError, StudentCache, Students};
use crate::student::{Decision, EventId, Student, StudentChange, StudentRef, Version, change};
use crate::use_case::{Request, UseCaseError, UseCaseFuture, require_version};

/// The wish to change a student.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateStudent {
    /// Which student.
    pub student: StudentRef,
    /// The version it must still have; nothing when any will do.
    pub expected: Option<Version>,
    /// What to change.
    pub change: StudentChange,
}

/// Changes students. A clone shares the store and the cache.
#[derive(Debug, Clone)]
pub struct UpdateStudentHandler {
    students: Arc<dyn Students>,
    cache: Arc<dyn StudentCache>,
}

impl UpdateStudentHandler {
    /// A handler on that store and cache.
    pub fn new(students: Arc<dyn Students>, cache: Arc<dyn StudentCache>) -> Self {
        Self { students, cache }
    }

    /// Changes a student, puts the new state into the cache, and returns it.
    ///
    /// A change that changes nothing writes nothing and emits nothing. When somebody else is faster, the decision is
    /// made anew on what they left: a bounded number of times, without waiting.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::NotFound`]; [`UseCaseError::Stale`] when the student does not have the expected version;
    /// [`UseCaseError::EmailTaken`]; [`UseCaseError::Conflict`] when others were faster every time;
    /// [`UseCaseError::Store`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the change is stored with its event or not at all. The cache may not have it yet.
    pub async fn execute(&self, ctx: &Context, message: UpdateStudent) -> Result<Student, UseCaseError> {
        let event_id = EventId::generate(ctx.now);
        for _ in 0..MAX_TRIES {
            let student = self.students.find(message.student).await?.ok_or(UseCaseError::NotFound)?;
            require_version(&student, message.expected)?;
            let decided = match change(&student, message.change.clone(), event_id, ctx) {
                Decision::Unchanged => return Ok(student),
                Decision::Changed(decided) => decided,
            };
            match self.students.save(decided, ctx).await {
                Ok(student) => {
                    self.cache.put(&student).await;
                    return Ok(student);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(UseCaseError::Conflict)
    }
}

impl Service<Request<UpdateStudent>> for UpdateStudentHandler {
    type Response = Student;
    type Error = UseCaseError;
    type Future = UseCaseFuture<Student>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<UpdateStudent>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { handler.execute(&request.context, request.message).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{MemoryStudentCache, MemoryStudents};
    use crate::store::CacheLookup;
    use crate::student::PersonName;
    use crate::testing::{Contended, ctx, with_ada};

    fn to_last_name(student: &Student, last_name: &str, expected: Option<Version>) -> UpdateStudent {
        let change =
            StudentChange { last_name: PersonName::parse(last_name).ok(), ..StudentChange::default() };
        UpdateStudent { student: student.id.into(), expected, change }
    }

    #[tokio::test]
    async fn a_change_is_stored_cached_and_told() {
        let (students, ada) = with_ada().await;
        let cache = MemoryStudentCache::new();
        let mut handler = UpdateStudentHandler::new(Arc::new(students.clone()), Arc::new(cache.clone()));

        let message = to_last_name(&ada, "King", Some(Version::FIRST));
        let changed = handler.call(Request::new(ctx(), message)).await.unwrap();

        assert_eq!((changed.last_name.as_str(), changed.version.get()), ("King", 2));
        assert_eq!(cache.get(ada.id.into()).await, CacheLookup::Found(changed));
        assert_eq!(students.events().len(), 2);
    }

    #[tokio::test]
    async fn a_change_that_changes_nothing_is_not_told() {
        let (students, ada) = with_ada().await;
        let handler =
            UpdateStudentHandler::new(Arc::new(students.clone()), Arc::new(MemoryStudentCache::new()));
        let same = to_last_name(&ada, ada.last_name.as_str(), None);
        assert_eq!(handler.execute(&ctx(), same).await.unwrap(), ada);
        assert_eq!(students.events().len(), 1);
    }

    #[tokio::test]
    async fn a_stale_expectation_is_told_the_current_version() {
        let (students, ada) = with_ada().await;
        let handler = UpdateStudentHandler::new(Arc::new(students), Arc::new(MemoryStudentCache::new()));
        let wrong = to_last_name(&ada, "King", Some(Version::FIRST.next()));
        let error = handler.execute(&ctx(), wrong).await.unwrap_err();
        assert!(matches!(error, UseCaseError::Stale { current: Version::FIRST }));
    }

    #[tokio::test]
    async fn who_is_overtaken_decides_anew_unless_a_version_was_expected() {
        let (students, ada) = with_ada().await;
        let contended = Contended::new(students, 3);
        let cache = Arc::new(MemoryStudentCache::new());
        let handler = UpdateStudentHandler::new(Arc::new(contended.clone()), cache);
        let changed = handler.execute(&ctx(), to_last_name(&ada, "King", None)).await.unwrap();
        assert_eq!((changed.last_name.as_str(), changed.version.get()), ("King", 5));

        contended.overtake(1);
        let error = handler.execute(&ctx(), to_last_name(&ada, "Byron", Some(changed.version))).await;
        assert!(matches!(error, Err(UseCaseError::Stale { current }) if current.get() == 6));
    }

    #[tokio::test]
    async fn who_is_always_overtaken_gives_up() {
        let (students, ada) = with_ada().await;
        let contended = Arc::new(Contended::new(students, u64::MAX));
        let handler = UpdateStudentHandler::new(contended, Arc::new(MemoryStudentCache::new()));
        let error = handler.execute(&ctx(), to_last_name(&ada, "King", None)).await.unwrap_err();
        assert!(matches!(error, UseCaseError::Conflict) && error.is_retryable());
    }

    #[tokio::test]
    async fn nobody_cannot_be_changed() {
        let (_, ada) = with_ada().await;
        let students = MemoryStudents::new();
        let handler = UpdateStudentHandler::new(Arc::new(students), Arc::new(MemoryStudentCache::new()));
        let error = handler.execute(&ctx(), to_last_name(&ada, "King", None)).await.unwrap_err();
        assert!(matches!(error, UseCaseError::NotFound));
    }
}
