//! Pages of students: one statement, put together from fixed parts.

use sqlx::{PgPool, Postgres, QueryBuilder};
use tbx_core::{CursorValue, Direction, ListStudents, Page, SortKey, StoreError, Student};

use super::row::{columns, signed, student};
use super::store::{answered, store_failure};
use crate::students::search::successor;

/// The page that `query` asks for.
pub(super) async fn page(pool: &PgPool, query: &ListStudents) -> Result<Page<Student>, StoreError> {
    let mut statement = statement(query)?;
    answered("listing students", async {
        let rows = statement
            .build()
            .fetch_all(pool)
            .await
            .map_err(|error| store_failure("listing students", error))?;
        let students = rows.iter().map(student).collect::<Result<Vec<_>, _>>()?;
        Ok(query.page_of(students))
    })
    .await
}

fn statement(query: &ListStudents) -> Result<QueryBuilder<Postgres>, StoreError> {
    let column = match query.sort.key {
        SortKey::Number => "number",
        SortKey::LastName => "last_name_key",
        SortKey::Created => "created",
    };
    let (order, beyond) = match query.sort.direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let mut sql = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM students WHERE true"));
    if let Some(search) = &query.search {
        let first = storable(search.key());
        let beyond_last = successor(&first);
        for (number, key) in ["first_name_key", "last_name_key", "email_key"].into_iter().enumerate() {
            sql.push(if number == 0 { " AND (" } else { " OR " });
            sql.push(format_args!("({key} >= ")).push_bind(first.clone());
            if let Some(end) = &beyond_last {
                sql.push(format_args!(" AND {key} < ")).push_bind(end.clone());
            }
            sql.push(")");
        }
        sql.push(")");
    }
    if let Some(cursor) = &query.cursor {
        let number = signed(cursor.number().get())?;
        match cursor.value() {
            CursorValue::Number(_) => {
                sql.push(format_args!(" AND number {beyond} ")).push_bind(number);
            }
            CursorValue::LastName(key) => {
                sql.push(format_args!(" AND ({column}, number) {beyond} ("))
                    .push_bind(storable(key))
                    .push(", ")
                    .push_bind(number)
                    .push(")");
            }
            CursorValue::Created(instant) => {
                sql.push(format_args!(" AND ({column}, number) {beyond} ("))
                    .push_bind(*instant)
                    .push(", ")
                    .push_bind(number)
                    .push(")");
            }
        }
    }
    sql.push(format_args!(" ORDER BY {column} {order}, number {order} LIMIT "))
        .push_bind(i64::from(query.limit.get()) + 1);
    Ok(sql)
}

/// PostgreSQL's texts hold no zero character. No stored key has one, nor the one after it, so the order stays.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{1}")
}
