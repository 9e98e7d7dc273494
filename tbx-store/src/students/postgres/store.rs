//! The port of the students: each method one transaction, with its event in the outbox.

use async_trait::async_trait;
use sqlx::{PgConnection, Row};
use tbx_bus::MessageId;
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL, WORKER_GROUP};
use tbx_core::reaction::decide;
use tbx_core::{
    Change, Context, Counted, Enrolled, Enrolment, ListStudents, Page, Removal, RequestKey, StoreError,
    Student, StudentEvent, StudentId, StudentNumber, StudentRef, Students, Version,
};

use super::list;
use super::row::{columns, signed, student, unsigned};
use crate::postgres::{Database, PgIdempotency, PgInbox, PgOutbox, WriteTransaction, store_error, within};
use crate::students::failure::failure;
use crate::students::message::{event_message, notification_message};
use crate::students::once;

/// The students in a PostgreSQL database; their events go to the channels `tbx.events` and `notifications` of its outbox.
#[derive(Debug, Clone)]
pub struct PgStudents {
    database: Database,
    outbox: PgOutbox,
    inbox: PgInbox,
    idempotency: PgIdempotency,
}

impl PgStudents {
    /// The students of `database`, which was opened with [`MIGRATIONS`](super::MIGRATIONS).
    #[must_use]
    pub fn new(database: Database, outbox: PgOutbox) -> Self {
        let (inbox, idempotency) = (PgInbox::new(WORKER_GROUP), PgIdempotency::new());
        Self { database, outbox, inbox, idempotency }
    }

    async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.database.begin().await.map_err(StoreError::unavailable)
    }

    /// Commits and lets the relay know.
    async fn commit(&self, transaction: WriteTransaction) -> Result<(), StoreError> {
        transaction.commit().await.map_err(|error| store_failure("committing", error))?;
        self.outbox.wake();
        Ok(())
    }

    /// Inserts a student and appends its event.
    async fn insert(
        &self,
        transaction: &mut PgConnection,
        enrolment: Enrolment,
        context: &Context,
    ) -> Result<Student, StoreError> {
        let audit = enrolment.audit();
        let row = sqlx::query(
            "INSERT INTO students (id, first_name, last_name, email, first_name_key, last_name_key, email_key, \
             version, updates, created, created_by, last_modified, last_modified_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, $12) RETURNING number",
        )
        .bind(enrolment.id().as_uuid())
        .bind(enrolment.first_name().as_str())
        .bind(enrolment.last_name().as_str())
        .bind(enrolment.email().as_str())
        .bind(enrolment.first_name().search_key())
        .bind(enrolment.last_name().search_key())
        .bind(enrolment.email().key().as_str().to_owned())
        .bind(signed(enrolment.version().get())?)
        .bind(audit.created)
        .bind(audit.created_by.as_ref().map(|actor| actor.as_str().to_owned()))
        .bind(audit.last_modified)
        .bind(audit.last_modified_by.as_ref().map(|actor| actor.as_str().to_owned()))
        .fetch_one(&mut *transaction)
        .await
        .map_err(|error| store_failure("inserting a student", error))?;
        let number = StudentNumber::new(unsigned(row.get(0))?).map_err(StoreError::corrupt)?;
        let (student, event) = enrolment.settle(number);
        self.emit(transaction, &event, context).await?;
        Ok(student)
    }

    async fn emit(
        &self,
        transaction: &mut PgConnection,
        event: &StudentEvent,
        context: &Context,
    ) -> Result<(), StoreError> {
        let message = event_message(event, context).map_err(StoreError::corrupt)?;
        self.outbox.append(transaction, EVENTS_CHANNEL, &message).await.map_err(StoreError::unavailable)
    }
}

/// Each method within a deadline of its own, so that a network that says nothing holds up nobody for ever.
#[async_trait]
impl Students for PgStudents {
    async fn enrol(&self, enrolment: Enrolment, context: &Context) -> Result<Student, StoreError> {
        answered("enrolling", Box::pin(self.enrol_now(enrolment, context))).await
    }

    async fn enrol_once(
        &self,
        enrolment: Enrolment,
        key: &RequestKey,
        context: &Context,
    ) -> Result<Enrolled, StoreError> {
        answered("enrolling", Box::pin(self.enrol_once_now(enrolment, key, context))).await
    }

    async fn find(&self, reference: StudentRef) -> Result<Option<Student>, StoreError> {
        answered("finding a student", Box::pin(self.find_now(reference))).await
    }

    async fn save(&self, change: Change, context: &Context) -> Result<Student, StoreError> {
        answered("saving a student", Box::pin(self.save_now(change, context))).await
    }

    async fn remove(&self, removal: Removal, context: &Context) -> Result<Student, StoreError> {
        answered("removing a student", Box::pin(self.remove_now(removal, context))).await
    }

    async fn list(&self, query: &ListStudents) -> Result<Page<Student>, StoreError> {
        list::page(self.database.pool(), query).await
    }

    async fn count_event(&self, event: &StudentEvent, context: &Context) -> Result<Counted, StoreError> {
        answered("counting an event", Box::pin(self.count_event_now(event, context))).await
    }
}

impl PgStudents {
    async fn enrol_now(&self, enrolment: Enrolment, context: &Context) -> Result<Student, StoreError> {
        let mut transaction = self.begin().await?;
        let student = self.insert(&mut transaction, enrolment, context).await?;
        self.commit(transaction).await?;
        Ok(student)
    }

    async fn enrol_once_now(
        &self,
        enrolment: Enrolment,
        key: &RequestKey,
        context: &Context,
    ) -> Result<Enrolled, StoreError> {
        let key = once::key_of(&enrolment, key)?;
        let mut transaction = self.begin().await?;
        let claimed = self.idempotency.claim(&mut transaction, &key, context.now).await;
        if let Some(enrolled) = once::found(claimed.map_err(StoreError::unavailable)?)? {
            return Ok(enrolled);
        }
        let student = self.insert(&mut transaction, enrolment, context).await?;
        let answer = once::answer(&student)?;
        let kept = self.idempotency.keep(&mut transaction, &key, &answer).await;
        kept.map_err(StoreError::unavailable)?;
        self.commit(transaction).await?;
        Ok(Enrolled { first_time: true, student })
    }

    async fn find_now(&self, reference: StudentRef) -> Result<Option<Student>, StoreError> {
        let row = match reference {
            StudentRef::Id(id) => {
                sqlx::query(concat!("SELECT ", columns!(), " FROM students WHERE id = $1"))
                    .bind(id.as_uuid())
                    .fetch_optional(self.database.pool())
                    .await
            }
            StudentRef::Number(number) => {
                sqlx::query(concat!("SELECT ", columns!(), " FROM students WHERE number = $1"))
                    .bind(signed(number.get())?)
                    .fetch_optional(self.database.pool())
                    .await
            }
        };
        row.map_err(|error| store_failure("finding a student", error))?.as_ref().map(student).transpose()
    }

    async fn save_now(&self, change: Change, context: &Context) -> Result<Student, StoreError> {
        let mut transaction = self.begin().await?;
        let after = change.student();
        let row = sqlx::query(
            "UPDATE students SET first_name = $1, last_name = $2, email = $3, first_name_key = $4, last_name_key = $5, email_key = $6, \
             version = $7, last_modified = $8, last_modified_by = $9 WHERE id = $10 AND version = $11 RETURNING updates",
        )
        .bind(after.first_name.as_str())
        .bind(after.last_name.as_str())
        .bind(after.email.as_str())
        .bind(after.first_name.search_key())
        .bind(after.last_name.search_key())
        .bind(after.email.key().as_str().to_owned())
        .bind(signed(after.version.get())?)
        .bind(after.audit.last_modified)
        .bind(after.audit.last_modified_by.as_ref().map(|actor| actor.as_str().to_owned()))
        .bind(after.id.as_uuid())
        .bind(signed(change.before.get())?)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| store_failure("saving a student", error))?;
        let Some(row) = row else { return Err(StoreError::Conflict) };
        let (student, event) = change.settle(unsigned(row.get(0))?);
        self.emit(&mut transaction, &event, context).await?;
        self.commit(transaction).await?;
        Ok(student)
    }

    async fn remove_now(&self, removal: Removal, context: &Context) -> Result<Student, StoreError> {
        let mut transaction = self.begin().await?;
        let updates = delete(&mut transaction, removal.student().id, removal.before).await?;
        let (student, event) = removal.settle(updates);
        self.emit(&mut transaction, &event, context).await?;
        self.commit(transaction).await?;
        Ok(student)
    }

    async fn count_event_now(&self, event: &StudentEvent, context: &Context) -> Result<Counted, StoreError> {
        let mut transaction = self.begin().await?;
        let id = MessageId::from(event.id.as_uuid());
        let first_time =
            self.inbox.first_time(&mut transaction, &id).await.map_err(StoreError::unavailable)?;
        if !first_time {
            let student = find_in(&mut transaction, event.student.id).await?;
            return Ok(Counted { first_time, student });
        }
        // Counted before it is checked, which saves a read: counting changes nothing that the check looks at, and a refusal rolls it back.
        let student = count(&mut transaction, event.student.id).await?;
        // Whether it counted follows from the row being there; what matters is that the event is not ahead of it.
        decide(event, student.as_ref())?;
        let notification = notification_message(event, context).map_err(StoreError::corrupt)?;
        self.outbox
            .append(&mut transaction, NOTIFICATIONS_CHANNEL, &notification)
            .await
            .map_err(StoreError::unavailable)?;
        self.commit(transaction).await?;
        Ok(Counted { first_time, student })
    }
}

async fn find_in(transaction: &mut PgConnection, id: StudentId) -> Result<Option<Student>, StoreError> {
    sqlx::query(concat!("SELECT ", columns!(), " FROM students WHERE id = $1"))
        .bind(id.as_uuid())
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_failure("finding a student", error))?
        .as_ref()
        .map(student)
        .transpose()
}

async fn count(transaction: &mut PgConnection, id: StudentId) -> Result<Option<Student>, StoreError> {
    sqlx::query(concat!("UPDATE students SET updates = updates + 1 WHERE id = $1 RETURNING ", columns!()))
        .bind(id.as_uuid())
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_failure("counting an event", error))?
        .as_ref()
        .map(student)
        .transpose()
}

async fn delete(transaction: &mut PgConnection, id: StudentId, before: Version) -> Result<u64, StoreError> {
    let row = sqlx::query("DELETE FROM students WHERE id = $1 AND version = $2 RETURNING updates")
        .bind(id.as_uuid())
        .bind(signed(before.get())?)
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_failure("removing a student", error))?;
    row.map_or(Err(StoreError::Conflict), |row| unsigned(row.get(0)))
}

/// What comes of `operation`, in time.
pub(super) async fn answered<T>(
    context: &'static str,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    within(context, async { Ok(operation.await) })
        .await
        .unwrap_or_else(|error| Err(StoreError::unavailable(error)))
}

/// What a database error means to the domain.
pub(super) fn store_failure(context: &str, error: sqlx::Error) -> StoreError {
    let taken = error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.constraint() == Some(EMAIL_KEY));
    if taken { StoreError::EmailTaken } else { failure(store_error(context, error)) }
}

/// The constraint that keeps emails apart.
const EMAIL_KEY: &str = "students_email_key";
