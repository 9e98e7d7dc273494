//! Dead letters: messages that a group gave up, with the reason.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::Message;

/// A message that a group gave up. The message is whole, with its original headers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The message as it was published.
    pub message: Arc<Message>,
    /// The group that gave it up.
    pub group: Arc<str>,
    /// How often it was tried there.
    pub attempts: u32,
    /// Why.
    pub reason: Reason,
}

impl DeadLetter {
    /// A dead letter.
    #[must_use]
    pub fn new(message: Arc<Message>, group: Arc<str>, attempts: u32, reason: Reason) -> Self {
        Self { message, group, attempts, reason }
    }
}

/// Why a message was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// The kind, for people who sort and count.
    pub kind: ReasonKind,
    /// What exactly, for people who read.
    pub detail: String,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(kind: ReasonKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.detail)
    }
}

/// The kinds of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// The handler said that no repetition can help.
    Rejected,
    /// Every attempt failed.
    AttemptsExhausted,
    /// It was delivered as often as the group allows and never settled.
    DeliveryLimit,
    /// The process ended each time while it was being handled.
    Crashed,
    /// The bus will never take it.
    Unpublishable,
    /// What is stored of it cannot be read.
    Unreadable,
}

impl ReasonKind {
    /// The stable word for it, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::DeliveryLimit => "delivery-limit",
            Self::Crashed => "crashed",
            Self::Unpublishable => "unpublishable",
            Self::Unreadable => "unreadable",
        }
    }

    /// The kind that a stored word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let kinds = [
            Self::Rejected,
            Self::AttemptsExhausted,
            Self::DeliveryLimit,
            Self::Crashed,
            Self::Unpublishable,
            Self::Unreadable,
        ];
        kinds.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Where dead letters go when nobody holds the receipt of the message.
///
/// `bury` returns when the letter is stored as safely as the sink can; storing the same letter (group and message id) again is no error.
#[async_trait]
pub trait DeadLetterSink: Send + Sync {
    /// Stores one letter.
    ///
    /// # Errors
    ///
    /// When it cannot be stored now. The message stays in its group.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the letter stored or not; it will be buried again.
    async fn bury(&self, letter: DeadLetter) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Keeps the latest letters in memory, and forgets them with the process.
#[derive(Debug)]
pub struct MemoryDeadLetters {
    capacity: usize,
    /// Held for the length of a push or a copy.
    letters: Mutex<std::collections::VecDeque<DeadLetter>>,
}

impl MemoryDeadLetters {
    /// Keeps at most `capacity` letters, at least 1; the oldest gives way.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), letters: Mutex::default() }
    }

    /// The letters, oldest first.
    #[must_use]
    pub fn letters(&self) -> Vec<DeadLetter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Default for MemoryDeadLetters {
    fn default() -> Self {
        Self::new(1_000)
    }
}

#[async_trait]
impl DeadLetterSink for MemoryDeadLetters {
    async fn bury(&self, letter: DeadLetter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.retain(|kept| kept.group != letter.group || kept.message.id() != letter.message.id());
        if letters.len() >= self.capacity {
            letters.pop_front();
        }
        letters.push_back(letter);
        Ok(())
    }
}
