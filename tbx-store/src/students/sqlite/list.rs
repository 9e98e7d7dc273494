//! Pages of students: one statement, put together from fixed parts.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqlitePool};
use tbx_core::{CursorValue, Direction, ListStudents, Page, SortKey, StoreError, Student};

use super::row::{columns, signed, student};
use super::store::store_failure;
use crate::students::search::successor;

/// The page that `query` asks for.
pub(super) async fn page(pool: &SqlitePool, query: &ListStudents) -> Result<Page<Student>, StoreError> {
    let (sql, arguments) = statement(query)?;
    // Only fixed text is put together; what comes from outside is bound.
    let rows = sqlx::query_with(AssertSqlSafe(sql), arguments)
        .fetch_all(pool)
        .await
        .map_err(|error| store_failure("listing students", error))?;
    let students = rows.iter().map(student).collect::<Result<Vec<_>, _>>()?;
    Ok(query.page_of(students))
}

fn statement(query: &ListStudents) -> Result<(String, SqliteArguments), StoreError> {
    let column = match query.sort.key {
        SortKey::Number => "number",
        SortKey::LastName => "last_name_key",
        SortKey::Created => "created",
    };
    let (order, beyond) = match query.sort.direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let mut arguments = SqliteArguments::default();
    let mut conditions: Vec<String> = Vec::new();
    if let Some(search) = &query.search {
        let first = search.key().to_owned();
        let beyond_last = successor(&first);
        let mut alternatives = Vec::new();
        for key in ["first_name_key", "last_name_key", "email_key"] {
            bind(&mut arguments, first.clone())?;
            match &beyond_last {
                Some(end) => {
                    bind(&mut arguments, end.clone())?;
                    alternatives.push(format!("({key} >= ? AND {key} < ?)"));
                }
                None => alternatives.push(format!("{key} >= ?")),
            }
        }
        conditions.push(format!("({})", alternatives.join(" OR ")));
    }
    if let Some(cursor) = &query.cursor {
        let number = signed(cursor.number().get())?;
        match cursor.value() {
            CursorValue::Number(_) => {}
            CursorValue::LastName(key) => bind(&mut arguments, key.clone())?,
            CursorValue::Created(instant) => bind(&mut arguments, instant.timestamp_millis())?,
        }
        bind(&mut arguments, number)?;
        conditions.push(match query.sort.key {
            SortKey::Number => format!("number {beyond} ?"),
            SortKey::LastName | SortKey::Created => format!("({column}, number) {beyond} (?, ?)"),
        });
    }
    let filter =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let limit = i64::from(query.limit.get()) + 1;
    bind(&mut arguments, limit)?;
    let sql = format!(
        "SELECT {} FROM students {filter} ORDER BY {column} {order}, number {order} LIMIT ?",
        columns!()
    );
    Ok((sql, arguments))
}

fn bind<'q, T>(arguments: &mut SqliteArguments, value: T) -> Result<(), StoreError>
where
    T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + 'q,
{
    arguments.add(value).map_err(StoreError::corrupt)
}
