//! A dead letter: what it is called, what is known of it, and what may be wrong with it.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tbx_bus::{BusError, BusErrorKind};
use tbx_store::sqlite::FiledLetter;
use tbx_store::{StoreError, StoreErrorKind};
use thiserror::Error;

/// Which letter: the number of one in the database, or group and message id of one on a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LetterId {
    /// In the database.
    Stored(i64),
    /// On the broker, written `GROUP:MESSAGE-ID`.
    Queued {
        /// The group that gave it up.
        group: String,
        /// The id of the message.
        message: String,
    },
}

impl FromStr for LetterId {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Stored(number));
        }
        let (group, message) = text.split_once(':').ok_or(InvalidLetterId)?;
        if group.is_empty() || message.is_empty() {
            return Err(InvalidLetterId);
        }
        Ok(Self::Queued { group: group.to_owned(), message: message.to_owned() })
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(number) => write!(f, "{number}"),
            Self::Queued { group, message } => write!(f, "{group}:{message}"),
        }
    }
}

/// A text that names no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no dead letter; give its number, or GROUP:MESSAGE-ID, as `dead-letters list` shows them")]
pub struct InvalidLetterId;

/// A message that was given up.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Which.
    pub id: LetterId,
    /// The channel it was on.
    pub channel: String,
    /// The group that gave it up; empty when no group had it.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The id of the message.
    pub message_id: String,
    /// The type of the message; `None` when it cannot be read.
    pub kind: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// The kind of reason.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// When it was given up, where that is known.
    pub died_at: Option<DateTime<Utc>>,
    /// The body.
    pub body: Bytes,
}

impl From<FiledLetter> for Letter {
    fn from(filed: FiledLetter) -> Self {
        let letter = filed.letter;
        Self {
            id: LetterId::Stored(letter.id),
            channel: filed.channel,
            group: letter.group,
            topic: filed.topic,
            message_id: letter.message_id,
            kind: letter.message.map(|message| message.kind().to_owned()),
            attempts: letter.attempts,
            reason: letter.reason,
            detail: letter.detail,
            died_at: Some(letter.died_at),
            body: filed.body,
        }
    }
}

/// A part that keeps letters failed.
#[derive(Debug, Error)]
pub enum LettersError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl LettersError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            // Closed is what belongs to this process, which another takes the place of.
            Self::Bus(error) => error.is_retryable() || error.kind() == BusErrorKind::Closed,
        }
    }

    /// Whether it is about the one letter, so that others can be had meanwhile.
    #[must_use]
    pub fn is_of_the_letter(&self) -> bool {
        match self {
            Self::Store(error) => matches!(
                error.kind(),
                StoreErrorKind::Corrupt | StoreErrorKind::Constraint | StoreErrorKind::Invalid
            ),
            Self::Bus(error) => matches!(
                error.kind(),
                BusErrorKind::TooLarge
                    | BusErrorKind::Unroutable
                    | BusErrorKind::Forbidden
                    | BusErrorKind::QueueFull
                    | BusErrorKind::Unsupported
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_one_letter_is_told_from_what_keeps_all_of_them() {
        let of_bus = |kind| LettersError::from(BusError::new(kind, "replaying"));
        let of_store = |kind| LettersError::from(StoreError::new(kind, "replaying"));
        for (error, is_of_the_letter, is_retryable) in [
            (of_bus(BusErrorKind::TooLarge), true, false),
            (of_bus(BusErrorKind::QueueFull), true, true),
            (of_bus(BusErrorKind::Disconnected), false, true),
            (of_bus(BusErrorKind::Refused), false, false),
            (of_store(StoreErrorKind::Constraint), true, false),
            (of_store(StoreErrorKind::Unavailable), false, true),
            (of_store(StoreErrorKind::Denied), false, false),
        ] {
            let judged = (error.is_of_the_letter(), error.is_retryable());
            assert_eq!(judged, (is_of_the_letter, is_retryable), "{error}");
        }
    }

    #[test]
    fn letters_are_named_by_number_or_by_group_and_message() {
        for text in ["7", "tbx.worker:01a2", "g:a:b"] {
            assert_eq!(text.parse::<LetterId>().unwrap().to_string(), text);
        }
        for text in ["", "x", ":a", "g:"] {
            assert_eq!(text.parse::<LetterId>(), Err(InvalidLetterId), "{text}");
        }
    }
}
