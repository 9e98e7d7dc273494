//! The students' tables on PostgreSQL.

mod list;
mod row;
mod store;

use crate::postgres::MigrationSet;

pub use store::PgStudents;

/// The tables of the students.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    table: "tbx_students_migrations",
    steps: &[("students", include_str!("migrations/0001_students.sql"))],
};
