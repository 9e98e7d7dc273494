//! The student domain of TBX: rules and use cases, pure at heart, with everything else behind ports.
//!
//! A use case takes a message and its circumstances, decides by a pure function what becomes of a student and which
//! event that leaves behind, and hands both to a store that commits them together.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tbx_core::{Clock, Context, CreateStudentHandler, StudentInput, SystemClock};
//! use tbx_core::memory::{MemoryStudentCache, MemoryStudents};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let students = Arc::new(MemoryStudents::new());
//!     let create = CreateStudentHandler::new(students.clone(), Arc::new(MemoryStudentCache::new()));
//!
//!     let input = StudentInput {
//!         first_name: Some("Ada"),
//!         last_name: Some("Lovelace"),
//!         email: Some("ada@example.org"),
//!     };
//!     let ctx = Context::new(SystemClock.now());
//!     let student = create.execute(&ctx, input.create()?).await?;
//!
//!     assert_eq!(student.number.get(), 1);
//!     assert_eq!(students.events()[0].kind.type_name(), "StudentCreated");
//!     Ok(())
//! }
//! ```
//!
//! # Guarantees
//!
//! - **What exists is valid.** Names, emails, numbers, limits and cursors are types with one fallible constructor, and
//!   [`StudentInput`] finds every fault of an input at once.
//! - **A state and its event are one.** Every write that changes something leaves exactly one event with the state it
//!   led to; a write that changes nothing leaves none. The ports commit both or neither.
//! - **No lost update.** A write rests on a version, and holds only while the store has that version.
//! - **Effect once.** An event delivered again is neither counted nor notified again; an enrolment repeated under its
//!   [`RequestKey`] is answered with the student of the first time.
//! - **The clock is yours.** Time enters through [`Context`] alone.
//!
//! # The parts
//!
//! [`student`] has the rules, [`command`], [`query`] and [`reaction`] the use cases, [`store`] the ports, [`memory`]
//! their reference implementations. Each handler has an `execute` function and is a [`tower_service::Service`] as well,
//! so timeouts, retries, limits and traces are layers around it.
//!
//! # Features
//!
//! | Feature | Enables | Pulls in |
//! |---|---|---|
//! | `serde` | `published`: wire types, type strings and topics of what leaves the domain | `serde` |
//! | `conformance` | `conformance`: the suite that proves an implementation of [`Students`] | nothing |
//!
//! Both are off by default.
//!
//! # What it is not
//!
//! There is no database, broker, cache, runtime or log in here, and no registry that finds handlers by name: a handler
//! is a value, and who wants to call one holds it. There is no generic repository either; the ports have the verbs of
//! the domain because each verb is one transaction.

pub mod clock;
pub mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod context;
pub mod memory;
pub mod page;
#[cfg(feature = "serde")]
pub mod published;
pub mod query;
pub mod reaction;
mod request_key;
pub mod store;
pub mod student;
#[cfg(test)]
mod testing;
mod use_case;

pub use clock::{Clock, ManualClock, SystemClock};
pub use command::{
    CreateStudent, CreateStudentHandler, DeleteStudent, DeleteStudentHandler, StudentInput, UpdateStudent,
    UpdateStudentHandler,
};
pub use context::{Actor, Context, InvalidActor, Trace};
pub use page::{
    BadCursor, Cursor, CursorValue, Direction, InvalidPageLimit, InvalidSearchPrefix, Page, PageLimit,
    SearchPrefix, Sort, SortKey, UnknownSort,
};
pub use query::{Freshness, GetStudent, GetStudentHandler, ListStudents, ListStudentsHandler};
pub use reaction::ProcessStudentEventHandler;
pub use request_key::{InvalidRequestKey, RequestKey};
pub use store::{
    AnnounceError, Announcer, CacheLookup, Counted, Enrolled, NoCache, StoreError, StudentCache, Students,
};
pub use student::{
    Audit, Change, Decision, Email, EmailError, EmailKey, Enrolment, EventId, Fault, InvalidStudent,
    InvalidStudentNumber, NameError, PersonName, Removal, Rule, Student, StudentChange, StudentEvent,
    StudentEventKind, StudentField, StudentId, StudentNumber, StudentRef, UnknownStudentRef, Version,
};
pub use use_case::{Request, UseCaseError, UseCaseFuture};
