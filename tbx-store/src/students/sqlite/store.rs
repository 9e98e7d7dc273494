//! The port of the students: each method one transaction, with its event in the outbox.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use tbx_bus::MessageId;
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL, WORKER_GROUP};
use tbx_core::reaction::decide;
use tbx_core::{
    Change, Context, Counted, Enrolled, Enrolment, ListStudents, Page, Removal, RequestKey, StoreError,
    Student, StudentEvent, StudentId, StudentNumber, StudentRef, Students, Version,
};

use super::list;
use super::row::{columns, signed, student, unsigned};
use crate::sqlite::{Database, SqliteIdempotency, SqliteInbox, SqliteOutbox, WriteTransaction, store_error};
use crate::students::failure::failure;
use crate::students::message::{event_message, notification_message};
use crate::students::once;

/// The students in an SQLite database; their events go to the channels `tbx.events` and `notifications` of its outbox.
#[derive(Debug, Clone)]
pub struct SqliteStudents {
    database: Database,
    outbox: SqliteOutbox,
    inbox: SqliteInbox,
    idempotency: SqliteIdempotency,
}

impl SqliteStudents {
    /// The students of `database`, which was opened with [`MIGRATIONS`](super::MIGRATIONS).
    #[must_use]
    pub fn new(database: Database, outbox: SqliteOutbox) -> Self {
        let (inbox, idempotency) = (SqliteInbox::new(WORKER_GROUP), SqliteIdempotency::new());
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
        transaction: &mut SqliteConnection,
        enrolment: Enrolment,
        context: &Context,
    ) -> Result<Student, StoreError> {
        let audit = enrolment.audit();
        let inserted = sqlx::query(
            "INSERT INTO students (id, first_name, last_name, email, first_name_key, last_name_key, email_key, \
             version, updates, created, created_by, last_modified, last_modified_by) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
        )
        .bind(enrolment.id().as_uuid().as_bytes().to_vec())
        .bind(enrolment.first_name().as_str())
        .bind(enrolment.last_name().as_str())
        .bind(enrolment.email().as_str())
        .bind(enrolment.first_name().search_key())
        .bind(enrolment.last_name().search_key())
        .bind(enrolment.email().key().as_str().to_owned())
        .bind(signed(enrolment.version().get())?)
        .bind(audit.created.timestamp_millis())
        .bind(audit.created_by.as_ref().map(|actor| actor.as_str().to_owned()))
        .bind(audit.last_modified.timestamp_millis())
        .bind(audit.last_modified_by.as_ref().map(|actor| actor.as_str().to_owned()))
        .execute(&mut *transaction)
        .await
        .map_err(|error| store_failure("inserting a student", error))?;
        let number = unsigned(inserted.last_insert_rowid())?;
        let number = StudentNumber::new(number).map_err(StoreError::corrupt)?;
        let (student, event) = enrolment.settle(number);
        self.emit(transaction, &event, context).await?;
        Ok(student)
    }

    async fn emit(
        &self,
        transaction: &mut SqliteConnection,
        event: &StudentEvent,
        context: &Context,
    ) -> Result<(), StoreError> {
        let message = event_message(event, context).map_err(StoreError::corrupt)?;
        self.outbox.append(transaction, EVENTS_CHANNEL, &message).await.map_err(StoreError::unavailable)
    }
}

#[async_trait]
impl Students for SqliteStudents {
    async fn enrol(&self, enrolment: Enrolment, context: &Context) -> Result<Student, StoreError> {
        let mut transaction = self.begin().await?;
        let student = self.insert(&mut transaction, enrolment, context).await?;
        self.commit(transaction).await?;
        Ok(student)
    }

    async fn enrol_once(
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

    async fn find(&self, reference: StudentRef) -> Result<Option<Student>, StoreError> {
        let row = match reference {
            StudentRef::Id(id) => {
                sqlx::query(concat!("SELECT ", columns!(), " FROM students WHERE id = ?"))
                    .bind(id.as_uuid().as_bytes().to_vec())
                    .fetch_optional(self.database.readers())
                    .await
            }
            StudentRef::Number(number) => {
                sqlx::query(concat!("SELECT ", columns!(), " FROM students WHERE number = ?"))
                    .bind(signed(number.get())?)
                    .fetch_optional(self.database.readers())
                    .await
            }
        };
        row.map_err(|error| store_failure("finding a student", error))?.as_ref().map(student).transpose()
    }

    async fn save(&self, change: Change, context: &Context) -> Result<Student, StoreError> {
        let mut transaction = self.begin().await?;
        let after = change.student();
        let row = sqlx::query(
            "UPDATE students SET first_name = ?, last_name = ?, email = ?, first_name_key = ?, last_name_key = ?, email_key = ?, \
             version = ?, last_modified = ?, last_modified_by = ? WHERE id = ? AND version = ? RETURNING updates",
        )
        .bind(after.first_name.as_str())
        .bind(after.last_name.as_str())
        .bind(after.email.as_str())
        .bind(after.first_name.search_key())
        .bind(after.last_name.search_key())
        .bind(after.email.key().as_str().to_owned())
        .bind(signed(after.version.get())?)
        .bind(after.audit.last_modified.timestamp_millis())
        .bind(after.audit.last_modified_by.as_ref().map(|actor| actor.as_str().to_owned()))
        .bind(after.id.as_uuid().as_bytes().to_vec())
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

    async fn remove(&self, removal: Removal, context: &Context) -> Result<Student, StoreError> {
        let mut transaction = self.begin().await?;
        let updates = delete(&mut transaction, removal.student().id, removal.before).await?;
        let (student, event) = removal.settle(updates);
        self.emit(&mut transaction, &event, context).await?;
        self.commit(transaction).await?;
        Ok(student)
    }

    async fn list(&self, query: &ListStudents) -> Result<Page<Student>, StoreError> {
        list::page(self.database.readers(), query).await
    }

    async fn count_event(&self, event: &StudentEvent, context: &Context) -> Result<Counted, StoreError> {
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

async fn find_in(transaction: &mut SqliteConnection, id: StudentId) -> Result<Option<Student>, StoreError> {
    sqlx::query(concat!("SELECT ", columns!(), " FROM students WHERE id = ?"))
        .bind(id.as_uuid().as_bytes().to_vec())
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_failure("finding a student", error))?
        .as_ref()
        .map(student)
        .transpose()
}

async fn count(transaction: &mut SqliteConnection, id: StudentId) -> Result<Option<Student>, StoreError> {
    sqlx::query(concat!("UPDATE students SET updates = updates + 1 WHERE id = ? RETURNING ", columns!()))
        .bind(id.as_uuid().as_bytes().to_vec())
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_failure("counting an event", error))?
        .as_ref()
        .map(student)
        .transpose()
}

async fn delete(
    transaction: &mut SqliteConnection,
    id: StudentId,
    before: Version,
) -> Result<u64, StoreError> {
    let row = sqlx::query("DELETE FROM students WHERE id = ? AND version = ? RETURNING updates")
        .bind(id.as_uuid().as_bytes().to_vec())
        .bind(signed(before.get())?)
        .fetch_optional(transaction)
        .await
        .map_err(|error| store_failure("removing a student", error))?;
    row.map_or(Err(StoreError::Conflict), |row| unsigned(row.get(0)))
}

/// What a database error means to the domain.
pub(super) fn store_failure(context: &str, error: sqlx::Error) -> StoreError {
    let taken = error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.message().contains("students.email_key"));
    if taken { StoreError::EmailTaken } else { failure(store_error(context, error)) }
}
