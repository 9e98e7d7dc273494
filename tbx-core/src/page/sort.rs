//! The order of a list.

use std::fmt;
use std::str::FromStr;

/// The order of a list: by a key, and by number in the same direction where keys are equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sort {
    /// What is compared.
    pub key: SortKey,
    /// Which comes first.
    pub direction: Direction,
}

/// What students are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// The student number.
    #[default]
    Number,
    /// The search key of the last name, by code points.
    LastName,
    /// The moment of enrolment.
    Created,
}

/// Which end of an order comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The smallest first.
    #[default]
    Ascending,
    /// The largest first.
    Descending,
}

impl SortKey {
    /// Every key there is.
    pub const ALL: [Self; 3] = [Self::Number, Self::LastName, Self::Created];

    const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::LastName => "lastName",
            Self::Created => "created",
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.direction {
            Direction::Ascending => "",
            Direction::Descending => "-",
        };
        write!(f, "{sign}{}", self.key.name())
    }
}

impl FromStr for Sort {
    type Err = UnknownSort;

    /// Reads `number`, `lastName` or `created`, with `-` before it for descending.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, direction) = match text.strip_prefix('-') {
            Some(name) => (name, Direction::Descending),
            None => (text, Direction::Ascending),
        };
        let key = SortKey::ALL.into_iter().find(|key| key.name() == name).ok_or(UnknownSort)?;
        Ok(Self { key, direction })
    }
}

/// The text names no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sort is not one of number, lastName, created, with - before it for descending")]
pub struct UnknownSort;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_order_has_a_name_that_reads_back() {
        for name in ["number", "-number", "lastName", "-lastName", "created", "-created"] {
            assert_eq!(name.parse::<Sort>().unwrap().to_string(), name);
        }
        assert_eq!(Sort::default().to_string(), "number");
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_back_and_nothing_panics(text in "-{0,2}(number|lastName|lastname|created)?\\PC{0,2}") {
            if let Ok(sort) = text.parse::<Sort>() {
                prop_assert_eq!(sort.to_string(), text);
            }
        }
    }
}
