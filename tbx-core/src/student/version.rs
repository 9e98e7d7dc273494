//! How often a student was changed.

use std::fmt;

/// The version of a student: 1 when enrolled, one more with every write that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of a student just enrolled.
    pub const FIRST: Self = Self(1);

    /// The version `version`, or nothing for zero.
    pub const fn new(version: u64) -> Option<Self> {
        if version == 0 { None } else { Some(Self(version)) }
    }

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The version as an integer.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_start_at_one_and_grow_by_one() {
        assert_eq!(Version::new(0), None);
        assert_eq!(Version::new(1), Some(Version::FIRST));
        assert_eq!(Version::FIRST.next().get(), 2);
    }
}
