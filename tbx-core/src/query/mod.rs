//! What reads students. One file is one use case: its message, and the handler that carries it out.

mod get_student;
mod list_students;

pub use get_student::{Freshness, GetStudent, GetStudentHandler};
pub use list_students::{ListStudents, ListStudentsHandler};
