//! What an event does to the row of its student.

use crate::student::{Student, StudentEvent, StudentId, Version};

/// Checks an event against the row of its student, absent when the student is gone.
///
/// Events come late, so a row is usually further than the event. It is never less far, since both were committed
/// together.
///
/// # Errors
///
/// [`RowBehindEvent`] when it is: the row was lost, or the event comes from another store.
pub fn decide(event: &StudentEvent, row: Option<&Student>) -> Result<Effect, RowBehindEvent> {
    let Some(row) = row else { return Ok(Effect::NotifyOnly) };
    if row.version < event.student.version {
        return Err(RowBehindEvent {
            student: event.student.id,
            row: row.version,
            event: event.student.version,
        });
    }
    Ok(Effect::CountAndNotify)
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It is counted on the row, and its notification goes out.
    CountAndNotify,
    /// There is no row to count on; its notification goes out all the same.
    NotifyOnly,
}

/// An event tells of a version that the row of its student has not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("student {student} is at version {row}, behind its event of version {event}")]
pub struct RowBehindEvent {
    /// The student.
    pub student: StudentId,
    /// The version of the row.
    pub row: Version,
    /// The version the event left behind.
    pub event: Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_ada;

    #[tokio::test]
    async fn an_event_counts_on_a_row_at_least_as_far() {
        let (students, row) = with_ada().await;
        let mut event = students.events().remove(0);
        assert_eq!(decide(&event, Some(&row)), Ok(Effect::CountAndNotify));

        let further = Student { version: row.version.next(), ..row.clone() };
        assert_eq!(decide(&event, Some(&further)), Ok(Effect::CountAndNotify));
        assert_eq!(decide(&event, None), Ok(Effect::NotifyOnly));

        event.student = further;
        let error = decide(&event, Some(&row)).unwrap_err();
        assert_eq!((error.row.get(), error.event.get()), (1, 2));
    }
}
