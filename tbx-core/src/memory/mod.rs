//! The ports in memory: the reference semantics, for tests and for trying things out.

mod cache;
mod students;

pub use cache::MemoryStudentCache;
pub use students::MemoryStudents;
