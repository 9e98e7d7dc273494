//! What one reader wants: a few patterns.

use std::fmt;

use tbx_bus::{Topic, TopicPattern};
use thiserror::Error;

/// The most patterns of one reader.
pub const MAX_PATTERNS: usize = 32;

/// A set of topic patterns, at most [`MAX_PATTERNS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSet(Vec<TopicPattern>);

impl TopicSet {
    /// Takes patterns, at least one; repetitions count once.
    ///
    /// # Errors
    ///
    /// When there is none, or too many.
    pub fn new(patterns: impl IntoIterator<Item = TopicPattern>) -> Result<Self, InvalidTopicSet> {
        let mut set: Vec<TopicPattern> = Vec::new();
        for pattern in patterns {
            if !set.contains(&pattern) {
                if set.len() == MAX_PATTERNS {
                    return Err(InvalidTopicSet::TooMany);
                }
                set.push(pattern);
            }
        }
        if set.is_empty() { Err(InvalidTopicSet::Empty) } else { Ok(Self(set)) }
    }

    /// Reads patterns separated by commas. Do not put foreign text into `text` to bound what somebody may see: it could bring commas and
    /// wildcards of its own.
    ///
    /// # Errors
    ///
    /// Names what is wrong, and with which pattern.
    pub fn parse(text: &str) -> Result<Self, InvalidTopicSet> {
        let pattern = |text: &str| {
            let text = text.trim();
            TopicPattern::new(text)
                .map_err(|error| InvalidTopicSet::Pattern(text.chars().take(80).collect(), error))
        };
        Self::new(text.split(',').map(pattern).collect::<Result<Vec<_>, _>>()?)
    }

    /// Every topic without private words.
    #[must_use]
    pub fn everything() -> Self {
        Self(vec![TopicPattern::everything()])
    }

    /// No topic at all.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[TopicPattern] {
        &self.0
    }

    /// Whether any pattern wants `topic`.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        self.0.iter().any(|pattern| pattern.matches(topic))
    }
}

impl fmt::Display for TopicSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{pattern}")?;
        }
        Ok(())
    }
}

/// Why patterns make no set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTopicSet {
    /// No pattern was given.
    #[error("no topic pattern was given")]
    Empty,
    /// More than [`MAX_PATTERNS`].
    #[error("more than {MAX_PATTERNS} topic patterns were given")]
    TooMany,
    /// One of them is none.
    #[error("`{0}` is no topic pattern")]
    Pattern(String, #[source] tbx_bus::TopicError),
}
