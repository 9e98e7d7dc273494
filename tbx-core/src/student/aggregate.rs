//! The decisions: pure functions from a state, a wish and its circumstances to a new state and the event it leaves.
//!
//! A decision is made outside the store and settled inside its transaction, because two figures are known only there:
//! the number of a new student, and how many events have been worked off meanwhile.

use chrono::{DateTime, Utc};

use super::{
    Audit, Email, EventId, PersonName, Student, StudentEvent, StudentEventKind, StudentId, StudentNumber,
    Version,
};
use crate::command::CreateStudent;
use crate::context::{Actor, Context};

/// Decides to enrol a student.
pub fn enrol(command: CreateStudent, id: StudentId, event_id: EventId, ctx: &Context) -> Enrolment {
    let CreateStudent { first_name, last_name, email } = command;
    let audit = Audit {
        created: ctx.now,
        created_by: ctx.actor.clone(),
        last_modified: ctx.now,
        last_modified_by: ctx.actor.clone(),
    };
    Enrolment { id, first_name, last_name, email, audit, event_id }
}

/// Decides what a change makes of a student: nothing, when it has every value already.
pub fn change(student: &Student, change: StudentChange, event_id: EventId, ctx: &Context) -> Decision {
    let StudentChange { first_name, last_name, email } = change;
    let mut after = student.clone();
    after.first_name = first_name.unwrap_or(after.first_name);
    after.last_name = last_name.unwrap_or(after.last_name);
    after.email = email.unwrap_or(after.email);
    if after == *student {
        return Decision::Unchanged;
    }
    let after = modified(after, ctx);
    Decision::Changed(Change { before: student.version, mark: Mark::new(event_id, ctx), after })
}

/// Decides to remove a student.
pub fn remove(student: &Student, event_id: EventId, ctx: &Context) -> Removal {
    let last = modified(student.clone(), ctx);
    Removal { before: student.version, mark: Mark::new(event_id, ctx), last }
}

/// The wish to change a student. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StudentChange {
    /// The new first name.
    pub first_name: Option<PersonName>,
    /// The new last name.
    pub last_name: Option<PersonName>,
    /// The new email address. One that differs only in case is a change.
    pub email: Option<Email>,
}

/// A student about to be enrolled, complete but for its number.
#[must_use = "a decision has no effect until a store carries it out"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    id: StudentId,
    first_name: PersonName,
    last_name: PersonName,
    email: Email,
    audit: Audit,
    event_id: EventId,
}

impl Enrolment {
    /// The id of the student.
    pub const fn id(&self) -> StudentId {
        self.id
    }

    /// The first name.
    pub const fn first_name(&self) -> &PersonName {
        &self.first_name
    }

    /// The last name.
    pub const fn last_name(&self) -> &PersonName {
        &self.last_name
    }

    /// The email address, whose key must be free.
    pub const fn email(&self) -> &Email {
        &self.email
    }

    /// Who enrols the student, and when.
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The version the student will have.
    pub const fn version(&self) -> Version {
        Version::FIRST
    }

    /// The id of the event the enrolment will leave.
    pub const fn event_id(&self) -> EventId {
        self.event_id
    }

    /// The student and its event, now that the store has allocated its number.
    pub fn settle(self, number: StudentNumber) -> (Student, StudentEvent) {
        let Self { id, first_name, last_name, email, audit, event_id } = self;
        let mark = Mark { event_id, at: audit.created, actor: audit.created_by.clone() };
        let version = Version::FIRST;
        let student = Student { id, number, first_name, last_name, email, version, updates: 0, audit };
        mark.leave(StudentEventKind::Created, student)
    }
}

/// What a change makes of a student.
#[expect(
    clippy::large_enum_variant,
    reason = "a decision is made, carried out and gone; a box would cost more"
)]
#[must_use = "a decision has no effect until a store carries it out"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing; there is nothing to store and nothing to tell.
    Unchanged,
    /// A new state.
    Changed(Change),
}

/// A student about to change.
#[must_use = "a decision has no effect until a store carries it out"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version that the decision rests on: it holds only while the store has this one.
    pub before: Version,
    after: Student,
    mark: Mark,
}

impl Change {
    /// The new state, but for `updates`, which may have grown meanwhile.
    pub const fn student(&self) -> &Student {
        &self.after
    }

    /// The id of the event the change will leave.
    pub const fn event_id(&self) -> EventId {
        self.mark.event_id
    }

    /// The new state and its event, with `updates` as the store has it within its transaction.
    pub fn settle(self, updates: u64) -> (Student, StudentEvent) {
        self.mark.leave(StudentEventKind::Updated, Student { updates, ..self.after })
    }
}

/// A student about to be removed.
#[must_use = "a decision has no effect until a store carries it out"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The version that the decision rests on: it holds only while the store has this one.
    pub before: Version,
    last: Student,
    mark: Mark,
}

impl Removal {
    /// The last state, one version further, but for `updates`, which may have grown meanwhile.
    pub const fn student(&self) -> &Student {
        &self.last
    }

    /// The id of the event the removal will leave.
    pub const fn event_id(&self) -> EventId {
        self.mark.event_id
    }

    /// The last state and its event, with `updates` as the store has it within its transaction.
    pub fn settle(self, updates: u64) -> (Student, StudentEvent) {
        self.mark.leave(StudentEventKind::Deleted, Student { updates, ..self.last })
    }
}

/// What an event needs to know besides the state it left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    event_id: EventId,
    at: DateTime<Utc>,
    actor: Option<Actor>,
}

impl Mark {
    fn new(event_id: EventId, ctx: &Context) -> Self {
        Self { event_id, at: ctx.now, actor: ctx.actor.clone() }
    }

    fn leave(self, kind: StudentEventKind, student: Student) -> (Student, StudentEvent) {
        let Self { event_id, at, actor } = self;
        let event = StudentEvent { id: event_id, kind, student: student.clone(), occurred_at: at, actor };
        (student, event)
    }
}

fn modified(mut student: Student, ctx: &Context) -> Student {
    student.version = student.version.next();
    student.audit.last_modified = ctx.now;
    student.audit.last_modified_by = ctx.actor.clone();
    student
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ctx(second: i64, actor: &str) -> Context {
        Context::new(DateTime::from_timestamp_millis(second * 1000).unwrap())
            .with_actor(Actor::new(actor).unwrap())
    }

    fn ada(ctx: &Context) -> Student {
        let command = CreateStudent {
            first_name: PersonName::parse("Ada").unwrap(),
            last_name: PersonName::parse("Lovelace").unwrap(),
            email: Email::parse("ada@example.org").unwrap(),
        };
        let enrolment = enrol(command, StudentId::generate(ctx.now), EventId::generate(ctx.now), ctx);
        enrolment.settle(StudentNumber::new(7).unwrap()).0
    }

    #[test]
    fn an_enrolment_leaves_the_first_version_and_says_so() {
        let ctx = ctx(1, "alice");
        let event_id = EventId::generate(ctx.now);
        let command = CreateStudent {
            first_name: PersonName::parse("Ada").unwrap(),
            last_name: PersonName::parse("Lovelace").unwrap(),
            email: Email::parse("ada@example.org").unwrap(),
        };
        let enrolment = enrol(command, StudentId::generate(ctx.now), event_id, &ctx);
        let (student, event) = enrolment.settle(StudentNumber::new(7).unwrap());

        assert_eq!((student.number.get(), student.version, student.updates), (7, Version::FIRST, 0));
        assert_eq!(student.audit.created, ctx.now);
        assert_eq!(student.audit.last_modified_by, ctx.actor);
        assert_eq!((event.id, event.kind), (event_id, StudentEventKind::Created));
        assert_eq!((event.student, event.occurred_at, event.actor), (student, ctx.now, ctx.actor));
    }

    #[test]
    fn a_change_leaves_the_next_version_and_keeps_what_was_not_named() {
        let before = ada(&ctx(1, "alice"));
        let later = ctx(2, "bob");
        let wish = StudentChange { last_name: PersonName::parse("King").ok(), ..StudentChange::default() };
        let Decision::Changed(decided) = change(&before, wish, EventId::generate(later.now), &later) else {
            panic!("a new last name is a change")
        };
        assert_eq!(decided.before, before.version);

        let (after, event) = decided.settle(3);
        assert_eq!(after.last_name.as_str(), "King");
        assert_eq!(
            (&after.first_name, &after.email, after.id, after.number),
            (&before.first_name, &before.email, before.id, before.number)
        );
        assert_eq!((after.version, after.updates), (before.version.next(), 3));
        assert_eq!(
            (after.audit.created, &after.audit.created_by),
            (before.audit.created, &before.audit.created_by)
        );
        assert_eq!((after.audit.last_modified, &after.audit.last_modified_by), (later.now, &later.actor));
        assert_eq!((event.kind, &event.student), (StudentEventKind::Updated, &after));
    }

    #[test]
    fn a_change_to_the_same_values_is_none() {
        let student = ada(&ctx(1, "alice"));
        let later = Context::new(student.audit.created + Duration::from_secs(1));
        let same = StudentChange {
            first_name: Some(student.first_name.clone()),
            last_name: Some(student.last_name.clone()),
            email: Some(student.email.clone()),
        };
        for wish in [same, StudentChange::default()] {
            assert_eq!(change(&student, wish, EventId::generate(later.now), &later), Decision::Unchanged);
        }
    }

    #[test]
    fn an_email_in_another_case_is_a_change() {
        let ctx = ctx(1, "alice");
        let wish = StudentChange { email: Email::parse("Ada@Example.org").ok(), ..StudentChange::default() };
        let decision = change(&ada(&ctx), wish, EventId::generate(ctx.now), &ctx);
        assert!(matches!(decision, Decision::Changed(_)));
    }

    #[test]
    fn a_removal_leaves_the_last_state_one_version_further() {
        let student = ada(&ctx(1, "alice"));
        let later = ctx(2, "bob");
        let removal = remove(&student, EventId::generate(later.now), &later);
        assert_eq!(removal.before, student.version);

        let (last, event) = removal.settle(5);
        assert_eq!((last.version, last.updates), (student.version.next(), 5));
        assert_eq!((last.audit.last_modified, &last.audit.last_modified_by), (later.now, &later.actor));
        assert_eq!((event.kind, event.student), (StudentEventKind::Deleted, last));
    }
}
