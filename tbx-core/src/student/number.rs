//! The number people know a student by.

use std::fmt;

/// A student number, from 1: unique, increasing, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudentNumber(u64);

impl StudentNumber {
    /// The largest number: what a signed column of 64 bits can hold.
    pub const MAX: u64 = i64::MAX as u64;

    /// The student number `number`.
    ///
    /// # Errors
    ///
    /// [`InvalidStudentNumber`] unless it is from 1 to [`MAX`](Self::MAX).
    pub const fn new(number: u64) -> Result<Self, InvalidStudentNumber> {
        if number == 0 || number > Self::MAX {
            return Err(InvalidStudentNumber);
        }
        Ok(Self(number))
    }

    /// The number as an integer.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StudentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number is zero or too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("student number is not between 1 and 9223372036854775807")]
pub struct InvalidStudentNumber;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_from_one_to_the_largest_signed_integer() {
        assert_eq!(StudentNumber::new(0), Err(InvalidStudentNumber));
        assert_eq!(StudentNumber::new(1).map(StudentNumber::get), Ok(1));
        assert_eq!(StudentNumber::new(i64::MAX as u64).map(StudentNumber::get), Ok(i64::MAX as u64));
        assert_eq!(StudentNumber::new(i64::MAX as u64 + 1), Err(InvalidStudentNumber));
    }
}
