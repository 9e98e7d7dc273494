//! What follows from the events of students. One file is one use case, as with commands and queries.

mod decision;
mod process_student_event;

pub use decision::{Effect, RowBehindEvent, decide};
pub use process_student_event::ProcessStudentEventHandler;
