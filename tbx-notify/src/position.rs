//! Where a reader stands in a history.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A place in a history: everything up to and including `offset` has been seen.
///
/// The epoch names one life of one history. A position with a foreign epoch says nothing about this history, and is told apart from a place in it.
/// To clients a position is opaque ASCII of at most 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which history.
    pub epoch: Epoch,
    /// The entries seen; 0 is before the first.
    pub offset: u64,
}

/// One life of one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// A fresh one, for a history that begins.
    #[must_use]
    pub fn generate() -> Self {
        Self(fastrand::u64(1..=u64::MAX >> 1))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Position {
    /// The longest text of a position.
    pub const MAX_BYTES: usize = 64;

    /// The place after the entry `offset` of the history `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch.0, self.offset)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (epoch, offset) = text.split_once('-').ok_or(InvalidPosition)?;
        // `from_str_radix` and `parse` take a leading plus sign, which no position has.
        if text.len() > Self::MAX_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Err(InvalidPosition);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| InvalidPosition)?;
        let offset = offset.parse().map_err(|_| InvalidPosition)?;
        Ok(Self { epoch: Epoch(epoch), offset })
    }
}

/// The text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a position")]
pub struct InvalidPosition;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_can_be_read_back() {
        for position in [Position::new(Epoch::generate(), 0), Position::new(Epoch::new(u64::MAX), u64::MAX)] {
            let text = position.to_string();
            assert!(text.len() <= Position::MAX_BYTES && text.is_ascii());
            assert_eq!(text.parse(), Ok(position));
        }
    }

    #[test]
    fn garbage_is_no_position() {
        for text in
            ["", "-", "7", "g-1", "a-", "-1", "a-+1", "+a-1", "a-1-1", "a-99999999999999999999", "é-1"]
        {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }
}
