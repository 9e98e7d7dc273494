//! The two ways to point at a student.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{StudentId, StudentNumber};

/// Points at a student by its id or by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StudentRef {
    /// By its id.
    Id(StudentId),
    /// By its number.
    Number(StudentNumber),
}

impl From<StudentId> for StudentRef {
    fn from(id: StudentId) -> Self {
        Self::Id(id)
    }
}

impl From<StudentNumber> for StudentRef {
    fn from(number: StudentNumber) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for StudentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl FromStr for StudentRef {
    type Err = UnknownStudentRef;

    /// Reads a hyphenated UUID, or a number as it is written: a student has one address of each kind, so zeros in front name nobody.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            if text.starts_with('0') {
                return Err(UnknownStudentRef);
            }
            let number = text.parse().map_err(|_| UnknownStudentRef)?;
            return StudentNumber::new(number).map(Self::Number).map_err(|_| UnknownStudentRef);
        }
        // The UUID parser knows other notations too; of those only the hyphenated one has 36 characters.
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(UnknownStudentRef);
        }
        Uuid::try_parse(text).map(|uuid| Self::Id(StudentId::new(uuid))).map_err(|_| UnknownStudentRef)
    }
}

/// The text names no student that could exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a hyphenated UUID nor a student number")]
pub struct UnknownStudentRef;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_a_number_and_a_hyphenated_uuid_is_an_id() {
        assert_eq!("7".parse(), StudentNumber::new(7).map(StudentRef::Number).map_err(|_| UnknownStudentRef));
        let uuid = "0190b5a4-7c1e-7a3b-8f00-0123456789AB";
        assert_eq!(uuid.parse(), Ok(StudentRef::Id(StudentId::new(uuid.parse().unwrap()))));
    }

    #[test]
    fn anything_else_names_no_student() {
        for text in [
            "",
            "0",
            "01",
            "-1",
            "+1",
            "1.0",
            " 1",
            "9223372036854775808",
            "99999999999999999999999",
            "0190b5a47c1e7a3b8f000123456789ab",
            "{0190b5a4-7c1e-7a3b-8f00-0123456789ab}",
            "urn:uuid:0190b5a4-7c1e-7a3b-8f00-0123456789ab",
            "0190b5a4-7c1e-7a3b-8f00-0123456789ag",
            "٣",
        ] {
            assert_eq!(text.parse::<StudentRef>(), Err(UnknownStudentRef), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<StudentRef>();
        }

        #[test]
        fn what_is_written_is_read_back(uuid in any::<u128>(), number in 1..=StudentNumber::MAX) {
            for reference in [
                StudentRef::Id(StudentId::new(Uuid::from_u128(uuid))),
                StudentRef::Number(StudentNumber::new(number).unwrap()),
            ] {
                prop_assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }
    }
}
