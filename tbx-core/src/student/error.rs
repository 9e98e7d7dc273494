//! What is wrong with a student as it was handed in.

use std::fmt;

use super::{EmailError, NameError};

/// A student cannot be made of what was given. Names every fault, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("student breaks {} rule(s)", .faults.len())]
#[non_exhaustive]
pub struct InvalidStudent {
    /// The faults in the order of the fields; never empty.
    pub faults: Vec<Fault>,
}

impl InvalidStudent {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        debug_assert!(!faults.is_empty(), "an invalid student has a fault");
        Self { faults }
    }
}

/// One field breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The field.
    pub field: StudentField,
    /// The rule.
    pub rule: Rule,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.rule)
    }
}

/// A field that people fill in. Ordered as on a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StudentField {
    /// The first name.
    FirstName,
    /// The last name.
    LastName,
    /// The email address.
    Email,
}

impl fmt::Display for StudentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstName => "first name",
            Self::LastName => "last name",
            Self::Email => "email",
        })
    }
}

/// A rule that a field can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The field must be given.
    Missing,
    /// The rules of names.
    Name(NameError),
    /// The rules of email addresses.
    Email(EmailError),
}

impl Rule {
    /// A stable name of the rule, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Name(error) => error.code(),
            Self::Email(error) => error.code(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Name(error) => error.fmt(f),
            Self::Email(error) => error.fmt(f),
        }
    }
}
