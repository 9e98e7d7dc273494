//! What changes students. One file is one use case: its message, and the handler that carries it out.

mod create_student;
mod delete_student;
mod input;
mod update_student;

pub use create_student::{CreateStudent, CreateStudentHandler};
pub use delete_student::{DeleteStudent, DeleteStudentHandler};
pub use input::StudentInput;
pub use update_student::{UpdateStudent, UpdateStudentHandler};

/// How often a decision is made anew when somebody else was faster.
///
/// Every conflict means that another writer got through, so this many in a row is a crowd around one student, to whom
/// an answer now is worth more than a turn later.
const MAX_TRIES: u32 = 16;
