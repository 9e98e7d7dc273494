//! Students as rows.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tbx_core::{Actor, Audit, Email, PersonName, StoreError, Student, StudentId, StudentNumber, Version};
use uuid::Uuid;

/// The columns that [`student`] reads, in its order.
macro_rules! columns {
    () => {
        "number, id, first_name, last_name, email, version, updates, created, created_by, last_modified, last_modified_by"
    };
}
pub(super) use columns;

/// The student of a row.
pub(super) fn student(row: &PgRow) -> Result<Student, StoreError> {
    let number: i64 = row.get(0);
    let actor = |name: Option<String>| name.map(Actor::new).transpose().map_err(StoreError::corrupt);
    let version = Version::new(unsigned(row.get(5))?)
        .ok_or_else(|| StoreError::corrupt(format!("student {number} has version 0")))?;
    Ok(Student {
        number: StudentNumber::new(unsigned(number)?).map_err(StoreError::corrupt)?,
        id: StudentId::new(row.get::<Uuid, _>(1)),
        first_name: PersonName::parse(row.get(2)).map_err(StoreError::corrupt)?,
        last_name: PersonName::parse(row.get(3)).map_err(StoreError::corrupt)?,
        email: Email::parse(row.get(4)).map_err(StoreError::corrupt)?,
        version,
        updates: unsigned(row.get(6))?,
        audit: Audit {
            created: row.get(7),
            created_by: actor(row.get(8))?,
            last_modified: row.get(9),
            last_modified_by: actor(row.get(10))?,
        },
    })
}

pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(StoreError::corrupt)
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(StoreError::corrupt)
}
