//! The students' tables on SQLite.

mod list;
mod row;
mod store;

use crate::sqlite::MigrationSet;

pub use store::SqliteStudents;

/// The tables of the students.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    table: "tbx_students_migrations",
    steps: &[("students", include_str!("migrations/0001_students.sql"))],
};
