//! The store in memory.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::context::{Actor, Context};
use crate::page::{CursorValue, Direction, Page};
use crate::query::ListStudents;
use crate::reaction::{Effect, decide};
use crate::request_key::RequestKey;
use crate::store::{Counted, Enrolled, StoreError, Students};
use crate::student::{
    Change, Email, Enrolment, EventId, Removal, Student, StudentEvent, StudentId, StudentNumber, StudentRef,
    Version,
};

/// The reference implementation of [`Students`]. Clones share one store; nothing outlives the last of them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStudents {
    /// One lock is one transaction: whoever holds it checks everything before changing anything.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    rows: BTreeMap<StudentId, Student>,
    inbox: HashSet<EventId>,
    /// What was enrolled under the keys of each actor.
    enrolled: HashMap<(Option<Actor>, RequestKey), Student>,
    events: Vec<StudentEvent>,
    notifications: Vec<StudentEvent>,
}

impl MemoryStudents {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The events emitted so far, in order.
    pub fn events(&self) -> Vec<StudentEvent> {
        self.lock().events.clone()
    }

    /// The events whose notification was put on its way so far, in order.
    pub fn notifications(&self) -> Vec<StudentEvent> {
        self.lock().notifications.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Students for MemoryStudents {
    async fn enrol(&self, enrolment: Enrolment, _: &Context) -> Result<Student, StoreError> {
        self.lock().enrol(enrolment)
    }

    async fn enrol_once(
        &self,
        enrolment: Enrolment,
        key: &RequestKey,
        _: &Context,
    ) -> Result<Enrolled, StoreError> {
        let mut state = self.lock();
        let key = (enrolment.audit().created_by.clone(), key.clone());
        if let Some(student) = state.enrolled.get(&key) {
            let asks_for_it = enrolment.first_name() == &student.first_name
                && enrolment.last_name() == &student.last_name
                && enrolment.email() == &student.email;
            return match asks_for_it {
                true => Ok(Enrolled { first_time: false, student: student.clone() }),
                false => Err(StoreError::KeyReused),
            };
        }
        let student = state.enrol(enrolment)?;
        state.enrolled.insert(key, student.clone());
        Ok(Enrolled { first_time: true, student })
    }

    async fn find(&self, student: StudentRef) -> Result<Option<Student>, StoreError> {
        let state = self.lock();
        let row = match student {
            StudentRef::Id(id) => state.rows.get(&id),
            StudentRef::Number(number) => state.rows.values().find(|row| row.number == number),
        };
        Ok(row.cloned())
    }

    async fn save(&self, change: Change, _: &Context) -> Result<Student, StoreError> {
        let mut state = self.lock();
        let updates = state.updates_at(change.student().id, change.before)?;
        state.require_free(&change.student().email, change.student().id)?;
        Ok(state.keep(change.settle(updates)))
    }

    async fn remove(&self, removal: Removal, _: &Context) -> Result<Student, StoreError> {
        let mut state = self.lock();
        let updates = state.updates_at(removal.student().id, removal.before)?;
        let (last, event) = removal.settle(updates);
        state.rows.remove(&last.id);
        state.events.push(event);
        Ok(last)
    }

    async fn list(&self, query: &ListStudents) -> Result<Page<Student>, StoreError> {
        let in_order = |ordering: Ordering| match query.sort.direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        };
        let mut found: Vec<((CursorValue, StudentNumber), Student)> = self
            .lock()
            .rows
            .values()
            .filter(|row| query.search.as_ref().is_none_or(|search| search.finds(row)))
            .map(|row| ((CursorValue::of(row, query.sort.key), row.number), row.clone()))
            .collect();
        if let Some(cursor) = &query.cursor {
            let last = (cursor.value().clone(), cursor.number());
            found.retain(|(place, _)| in_order(place.cmp(&last)).is_gt());
        }
        found.sort_by(|(left, _), (right, _)| in_order(left.cmp(right)));
        found.truncate(query.limit.get() as usize + 1);
        Ok(query.page_of(found.into_iter().map(|(_, student)| student).collect()))
    }

    async fn count_event(&self, event: &StudentEvent, _: &Context) -> Result<Counted, StoreError> {
        let mut state = self.lock();
        let State { rows, inbox, notifications, .. } = &mut *state;
        let row = rows.get_mut(&event.student.id);
        if inbox.contains(&event.id) {
            return Ok(Counted { first_time: false, student: row.cloned() });
        }
        let effect = decide(event, row.as_deref())?;
        let student = row.map(|row| {
            if effect == Effect::CountAndNotify {
                row.updates += 1;
            }
            row.clone()
        });
        inbox.insert(event.id);
        notifications.push(event.clone());
        Ok(Counted { first_time: true, student })
    }
}

impl State {
    fn enrol(&mut self, enrolment: Enrolment) -> Result<Student, StoreError> {
        self.require_free(enrolment.email(), enrolment.id())?;
        let number = StudentNumber::new(self.last_number + 1).map_err(StoreError::unavailable)?;
        self.last_number = number.get();
        Ok(self.keep(enrolment.settle(number)))
    }

    fn require_free(&self, email: &Email, owner: StudentId) -> Result<(), StoreError> {
        let key = email.key();
        let taken = self.rows.values().any(|row| row.id != owner && row.email.key() == key);
        if taken { Err(StoreError::EmailTaken) } else { Ok(()) }
    }

    fn updates_at(&self, id: StudentId, version: Version) -> Result<u64, StoreError> {
        match self.rows.get(&id) {
            Some(row) if row.version == version => Ok(row.updates),
            _ => Err(StoreError::Conflict),
        }
    }

    fn keep(&mut self, (student, event): (Student, StudentEvent)) -> Student {
        self.rows.insert(student.id, student.clone());
        self.events.push(event);
        student
    }
}
