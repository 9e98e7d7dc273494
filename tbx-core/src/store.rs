//! The ports: what the use cases need from outside, in the words of the domain.

use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;

use crate::context::Context;
use crate::page::Page;
use crate::query::ListStudents;
use crate::reaction::RowBehindEvent;
use crate::request_key::RequestKey;
use crate::student::{Change, Enrolment, Removal, Student, StudentEvent, StudentRef};

/// The students, their events, and what was told about them.
///
/// # Contract
///
/// - **Atomic.** Each method is one transaction: everything it names happens, or nothing. A dropped future counts as
///   neither, and the caller who needs to know reads again.
/// - **Durable and told.** When a writing method returns, its effects survive a crash, and the event or notification
///   it appended will be published: never before the commit, at least once after it.
/// - **Ordered.** The events of one student are published in the order of their versions. A notification follows the
///   notifications of the same student counted before it.
/// - **Concurrent.** Any method may be called at any time from any task. Of several writes decided on the same version
///   exactly one succeeds. A read that begins after a write has returned sees it.
/// - **Unique.** Numbers start at 1, increase, and are never given twice, not even after a removal; gaps are possible.
///   No two students have emails with the same [key](crate::Email::key); a removal frees the email.
/// - **Settled inside.** [`Enrolment::settle`], [`Change::settle`] and [`Removal::settle`] are called within the
///   transaction, with the number just allocated or the `updates` just read, so that the event carries the state that
///   was committed.
///
/// `ctx` gives the trace that outgoing messages carry on; nothing in it changes what is stored.
///
/// [`MemoryStudents`](crate::memory::MemoryStudents) is the reference; the suite behind the feature `conformance`
/// proves an implementation against this contract.
#[async_trait]
pub trait Students: Debug + Send + Sync {
    /// Allocates a number, inserts the student, and appends its event.
    ///
    /// # Errors
    ///
    /// [`StoreError::EmailTaken`], or a failure of the store.
    async fn enrol(&self, enrolment: Enrolment, ctx: &Context) -> Result<Student, StoreError>;

    /// Enrols as [`enrol`](Self::enrol) does, unless the same actor has enrolled the same student under this key before:
    /// then nothing happens, and the student is told as it was enrolled then, whatever became of it.
    ///
    /// The same student is one with the same names and the same email address, letter by letter. The key is kept in the
    /// transaction of the enrolment, for as long as the store says; an enrolment that is refused leaves its key free.
    /// While another is at it under the same key, the store may wait for the outcome.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyReused`] when the key belongs to another student's enrolment, [`StoreError::KeyInUse`] when one
    /// under the same key does not come to an end; else as [`enrol`](Self::enrol).
    async fn enrol_once(
        &self,
        enrolment: Enrolment,
        key: &RequestKey,
        ctx: &Context,
    ) -> Result<Enrolled, StoreError>;

    /// The student as it is now, when there is one.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    async fn find(&self, student: StudentRef) -> Result<Option<Student>, StoreError>;

    /// Replaces the student by its new state, with `updates` as stored, and appends the event. Returns the new state.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] unless the stored version is [`Change::before`], also when the student is gone;
    /// [`StoreError::EmailTaken`]; or a failure of the store.
    async fn save(&self, change: Change, ctx: &Context) -> Result<Student, StoreError>;

    /// Removes the student and appends the event. Returns the last state, with `updates` as stored.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] unless the stored version is [`Removal::before`], also when the student is gone; or a
    /// failure of the store.
    async fn remove(&self, removal: Removal, ctx: &Context) -> Result<Student, StoreError>;

    /// One page of students: those the search finds, in the given order, after the cursor.
    ///
    /// A student that is there throughout appears exactly once on the pages of one walk, unless the value it is sorted
    /// by changes meanwhile. The search is literal: no character in it is a wildcard.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    async fn list(&self, query: &ListStudents) -> Result<Page<Student>, StoreError>;

    /// Works off an event once, however often it is delivered.
    ///
    /// In one transaction: the event's id enters the inbox; when it was there already nothing else happens. Otherwise
    /// [`decide`](crate::reaction::decide) checks the event against the row, which is locked against other writers,
    /// `updates` grows by one when the row is still there, and the notification of this event is appended to the
    /// outgoing messages. Neither version nor audit change.
    ///
    /// # Errors
    ///
    /// [`StoreError::RowBehindEvent`], or a failure of the store; the event is not in the inbox then.
    async fn count_event(&self, event: &StudentEvent, ctx: &Context) -> Result<Counted, StoreError>;
}

/// What came of enrolling a student under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Whether this request was the one that enrolled it.
    pub first_time: bool,
    /// The student as it was enrolled.
    pub student: Student,
}

/// What came of counting an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Whether this delivery was the one that counted.
    pub first_time: bool,
    /// The student as it is now, when there still is one; told on a redelivery too.
    pub student: Option<Student>,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another student has an email with the same key.
    #[error("email address is taken")]
    EmailTaken,
    /// The student is no longer at the version the decision rests on.
    #[error("student is no longer at the version decided on")]
    Conflict,
    /// The key was given to another request before.
    #[error("request key belongs to another request")]
    KeyReused,
    /// Another request with the same key is being carried out.
    #[error("a request with the same key is being carried out")]
    KeyInUse,
    /// An event tells of a version that the store has not seen.
    #[error(transparent)]
    RowBehindEvent(#[from] RowBehindEvent),
    /// The store cannot be reached, or is too busy, just now.
    #[error("student store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// What is stored, or what the store answered, makes no sense.
    #[error("student store holds what it should not")]
    Corrupt(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// The store cannot be reached, or is too busy, just now.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// What is stored, or what the store answered, makes no sense.
    pub fn corrupt(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt(cause.into())
    }

    /// Whether the same request may succeed when it is made again: after a conflict on a decision made anew.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict | Self::KeyInUse | Self::Unavailable(_) => true,
            Self::EmailTaken | Self::KeyReused | Self::RowBehindEvent(_) | Self::Corrupt(_) => false,
        }
    }
}

/// Students kept at hand, so that most reads need no store.
///
/// # Contract
///
/// - **Never backwards.** States are compared by [`Student::revision`]; an older state, or an equal one, never
///   replaces what is there, and no state ever replaces the memory of its removal. Writers may come in any order.
/// - **Never in the way.** A fault of the cache is its own to log and to count: reading answers
///   [`CacheLookup::Miss`], writing returns.
/// - **Never left behind.** What could not be written is made up for: until it is, reading on this handle or a clone
///   answers [`CacheLookup::Miss`] rather than something older. A cache that others share sees to it that they are not
///   left behind for long either.
/// - **Free to forget**, at any time; a student it does not remember is read from the store.
/// - **Concurrent.** Any method may be called at any time from any task. What one call has written, the next call on
///   this handle or a clone sees, unless forgotten. A dropped future has written or not.
#[async_trait]
pub trait StudentCache: Debug + Send + Sync {
    /// What the cache knows of a student, by its id or its number.
    async fn get(&self, student: StudentRef) -> CacheLookup;

    /// Remembers a student, unless something newer is there. Tells whether this state, or a newer one, is at hand now.
    async fn put(&self, student: &Student) -> bool;

    /// Remembers that a student was removed; `last` is the state its removal left behind.
    async fn remember_deleted(&self, last: &Student);
}

/// What a cache knows of a student.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheLookup {
    /// Nothing.
    Miss,
    /// That it was removed.
    Deleted,
    /// A state of it.
    Found(Student),
}

/// A cache that remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

#[async_trait]
impl StudentCache for NoCache {
    async fn get(&self, _: StudentRef) -> CacheLookup {
        CacheLookup::Miss
    }

    async fn put(&self, _: &Student) -> bool {
        false
    }

    async fn remember_deleted(&self, _: &Student) {}
}

/// Tells the world that a student is at hand in the cache.
///
/// # Contract
///
/// - **Accepted.** When a call returns, the announcement is where it will be passed on from; it may still come twice.
/// - **Recognizable.** The announcement of one cause has one id, however often it is made.
/// - **Concurrent.** May be called at any time from any task. A dropped future has announced or not.
#[async_trait]
pub trait Announcer: Debug + Send + Sync {
    /// Announces that `student` was written to the cache because of `cause`.
    ///
    /// # Errors
    ///
    /// [`AnnounceError`] when nobody took the announcement; it may be made again.
    async fn announce_cached(
        &self,
        cause: &StudentEvent,
        student: &Student,
        ctx: &Context,
    ) -> Result<(), AnnounceError>;
}

/// Nobody took the announcement.
#[derive(Debug, thiserror::Error)]
#[error("announcement was not accepted")]
pub struct AnnounceError(#[source] Box<dyn Error + Send + Sync>);

impl AnnounceError {
    /// Nobody took the announcement, for that reason.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
