//! The student: what it is made of, the rules it keeps, and the events it leaves behind.

mod aggregate;
mod email;
mod error;
mod event;
mod id;
mod name;
mod number;
mod reference;
mod state;
mod version;

pub use aggregate::{Change, Decision, Enrolment, Removal, StudentChange, change, enrol, remove};
pub use email::{Email, EmailError, EmailKey};
pub use error::{Fault, InvalidStudent, Rule, StudentField};
pub use event::{EventId, StudentEvent, StudentEventKind};
pub use id::StudentId;
pub(crate) use name::search_key;
pub use name::{NameError, PersonName};
pub use number::{InvalidStudentNumber, StudentNumber};
pub use reference::{StudentRef, UnknownStudentRef};
pub use state::{Audit, Student};
pub use version::Version;
