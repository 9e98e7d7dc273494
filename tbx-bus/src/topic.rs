//! Topics and topic patterns: the one grammar used everywhere.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The longest topic or pattern, in bytes (AMQP's limit for a routing key).
pub const MAX_TOPIC_BYTES: usize = 255;

/// What a message is about: words separated by dots, such as `student.created`.
///
/// At most 255 bytes; no word is empty; a word holds no whitespace, control character, comma, `*` or `#`.
/// Words beginning with `$` are *private*: no wildcard matches them.
///
/// ```
/// use tbx_bus::Topic;
///
/// let topic: Topic = "student.created".parse()?;
/// assert_eq!(topic.words().collect::<Vec<_>>(), ["student", "created"]);
/// assert!("student..created".parse::<Topic>().is_err());
/// # Ok::<(), tbx_bus::TopicError>(())
/// ```
///
/// A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks and takes a topic.
    ///
    /// # Errors
    ///
    /// Names the first rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_length(text)?;
        for word in text.split('.') {
            check_word(word)?;
            if word.contains(['*', '#']) {
                return Err(TopicError::Wildcard);
            }
        }
        Ok(Self(text.into()))
    }

    /// The whole topic.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The words between the dots; at least one.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

/// Which topics are wanted: words as in a [`Topic`], `*` for exactly one word, `#` for any number of words, none included.
///
/// The same grammar as AMQP's topic exchange, with one addition: no wildcard matches a word beginning with `$`, so
/// private topics are seen only by those who write the private word out.
///
/// ```
/// use tbx_bus::{Topic, TopicPattern};
///
/// let all_students: TopicPattern = "student.#".parse()?;
/// assert!(all_students.matches(&Topic::new("student.created")?));
/// assert!(all_students.matches(&Topic::new("student")?));
/// assert!(!all_students.matches(&Topic::new("student.$audit")?));
/// # Ok::<(), tbx_bus::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern(Arc<str>);

impl TopicPattern {
    /// Checks and takes a pattern. Wildcards that stand together are put in order, `*` before one `#`: patterns that mean the same are the same, so that
    /// `#.*` and `*.#.#` are both `*.#`.
    ///
    /// # Errors
    ///
    /// Names the first rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_length(text)?;
        let (mut words, mut any) = (Vec::new(), false);
        for word in text.split('.') {
            match word {
                "#" => any = true,
                "*" => words.push(word),
                _ => {
                    check_word(word)?;
                    if word.contains(['*', '#']) {
                        return Err(TopicError::PartialWildcard);
                    }
                    if std::mem::take(&mut any) {
                        words.push("#");
                    }
                    words.push(word);
                }
            }
        }
        if any {
            words.push("#");
        }
        Ok(Self(words.join(".").into()))
    }

    /// The pattern that matches every topic without private words: `#`.
    #[must_use]
    pub fn everything() -> Self {
        Self("#".into())
    }

    /// The whole pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The words between the dots, wildcards included; at least one.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether this pattern wants `topic`.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        self.matches_when(topic, |word| !is_private(word))
    }

    /// Matches, where wildcards stand for the words that `is_open` lets them stand for.
    fn matches_when(&self, topic: &Topic, is_open: impl Fn(&str) -> bool) -> bool {
        let fits = |wanted: &str, word: &str| if wanted == "*" { is_open(word) } else { wanted == word };
        let pattern: Vec<&str> = self.words().collect();
        let words: Vec<&str> = topic.words().collect();
        // Greedy with one point to fall back to: the latest `#` takes one more word whenever the rest does not fit.
        // Earlier `#`s need no second try, because what stands between two of them was matched as early as possible.
        let (mut at_pattern, mut at_word) = (0, 0);
        let mut fallback: Option<(usize, usize)> = None;
        loop {
            match pattern.get(at_pattern).copied() {
                Some("#") => {
                    fallback = Some((at_pattern + 1, at_word));
                    at_pattern += 1;
                    continue;
                }
                Some(wanted) if words.get(at_word).is_some_and(|word| fits(wanted, word)) => {
                    at_pattern += 1;
                    at_word += 1;
                    continue;
                }
                None if at_word == words.len() => return true,
                _ => {}
            }
            let Some((after_hash, taken_to)) = fallback else { return false };
            match words.get(taken_to) {
                Some(word) if is_open(word) => {
                    fallback = Some((after_hash, taken_to + 1));
                    at_pattern = after_hash;
                    at_word = taken_to + 1;
                }
                _ => return false,
            }
        }
    }

    /// Whether this pattern wants `topic`, when its wildcards stand for private words too. For infrastructure that carries every topic and leaves
    /// the rule of private words to whoever delivers them.
    #[must_use]
    pub fn matches_private_too(&self, topic: &Topic) -> bool {
        self.matches_when(topic, |_| true)
    }

    /// Whether this pattern wants everything that `other` wants, as the words say it. It is never true wrongly; where several wildcards stand apart it
    /// may be false although it could be true.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (wide, narrow): (Vec<&str>, Vec<&str>) = (self.words().collect(), other.words().collect());
        // Row by row: whether the first words of `wide` up to here cover the first `n` words of `narrow`.
        let mut covered = vec![false; narrow.len() + 1];
        covered[0] = true;
        for wanted in wide {
            let before = covered;
            covered = vec![false; narrow.len() + 1];
            covered[0] = wanted == "#" && before[0];
            for (index, word) in narrow.iter().enumerate() {
                covered[index + 1] = match wanted {
                    "#" => before[index + 1] || (covered[index] && !is_private(word)),
                    "*" => before[index] && *word != "#" && !is_private(word),
                    _ => before[index] && wanted == *word,
                };
            }
        }
        covered[narrow.len()]
    }
}

impl From<&Topic> for TopicPattern {
    /// The pattern that matches exactly this topic.
    fn from(topic: &Topic) -> Self {
        Self(Arc::clone(&topic.0))
    }
}

/// Whether a word is private, which no wildcard matches.
#[must_use]
pub fn is_private(word: &str) -> bool {
    word.starts_with('$')
}

fn check_length(text: &str) -> Result<(), TopicError> {
    if text.len() > MAX_TOPIC_BYTES { Err(TopicError::TooLong) } else { Ok(()) }
}

fn check_word(word: &str) -> Result<(), TopicError> {
    if word.is_empty() {
        return Err(TopicError::EmptyWord);
    }
    if word.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',') {
        return Err(TopicError::ForbiddenCharacter);
    }
    Ok(())
}

/// Why a text is no topic or no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Longer than [`MAX_TOPIC_BYTES`].
    #[error("longer than {MAX_TOPIC_BYTES} bytes")]
    TooLong,
    /// No text, or nothing between two dots.
    #[error("a word between the dots is empty")]
    EmptyWord,
    /// Whitespace, a control character or a comma.
    #[error("a word holds whitespace, a control character or a comma")]
    ForbiddenCharacter,
    /// A topic names one thing; `*` and `#` belong to patterns.
    #[error("a topic holds no wildcard")]
    Wildcard,
    /// `*` and `#` stand for whole words only.
    #[error("a wildcard must be a whole word")]
    PartialWildcard,
}

macro_rules! text_impls {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = TopicError;

            fn from_str(text: &str) -> Result<Self, TopicError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_impls!(Topic);
text_impls!(TopicPattern);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word, with no cleverness.
    fn naive(pattern: &[&str], words: &[&str]) -> bool {
        match (pattern.split_first(), words.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((&"#", rest)), None) => naive(rest, &[]),
            (Some((&"#", rest)), Some((word, after))) => {
                naive(rest, words) || (!word.starts_with('$') && naive(pattern, after))
            }
            (Some(_), None) => false,
            (Some((&"*", rest)), Some((word, after))) => !word.starts_with('$') && naive(rest, after),
            (Some((wanted, rest)), Some((word, after))) => wanted == word && naive(rest, after),
        }
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "$p", "$q"])
    }

    fn pattern_word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "$p", "*", "#", "#"])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn matching_equals_the_definition(
            pattern in prop::collection::vec(pattern_word(), 1..7),
            topic in prop::collection::vec(word(), 1..8),
        ) {
            let compiled = TopicPattern::new(&pattern.join(".")).unwrap();
            let parsed = Topic::new(&topic.join(".")).unwrap();
            prop_assert_eq!(compiled.matches(&parsed), naive(&pattern, &topic));
        }

        #[test]
        fn what_is_covered_is_matched_too(
            wide in prop::collection::vec(pattern_word(), 1..6),
            narrow in prop::collection::vec(pattern_word(), 1..6),
            topic in prop::collection::vec(word(), 1..7),
        ) {
            let (wide, narrow) = (wide.join("."), narrow.join("."));
            let (wide, narrow) = (TopicPattern::new(&wide).unwrap(), TopicPattern::new(&narrow).unwrap());
            let topic = Topic::new(&topic.join(".")).unwrap();
            prop_assert!(wide.covers(&wide));
            if wide.covers(&narrow) && narrow.matches(&topic) {
                prop_assert!(wide.matches(&topic), "{wide} {narrow} {topic}");
            }
        }

        #[test]
        fn any_text_is_taken_whole_or_refused(text in ".{0,300}") {
            if let Ok(topic) = Topic::new(&text) {
                prop_assert_eq!(topic.as_str(), text.as_str());
                prop_assert!(TopicPattern::from(&topic).matches(&topic));
            }
            let _ = TopicPattern::new(&text);
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let covers = |wide: &str, narrow: &str| {
            TopicPattern::new(wide).unwrap().covers(&TopicPattern::new(narrow).unwrap())
        };
        for (wide, narrow) in
            [("#", "#"), ("#", "a.*.#"), ("a.#", "a"), ("a.*", "a.b"), ("#.b", "a.#.b"), ("a.$p.*", "a.$p.b")]
        {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (wide, narrow) in
            [("a.*", "a.#"), ("*", "#"), ("#", "$p"), ("a.*", "a.$p"), ("a", "*"), ("a.#", "#")]
        {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
    }

    #[test]
    fn who_carries_every_topic_is_given_private_ones_too() {
        let (everything, topic) = (TopicPattern::everything(), Topic::new("a.$p.b").unwrap());
        assert!(everything.matches_private_too(&topic) && !everything.matches(&topic));
    }

    #[test]
    fn patterns_that_mean_the_same_are_the_same() {
        for (text, wanted) in [
            ("#.*", "*.#"),
            ("#.#", "#"),
            ("*.#.*.#.a", "*.*.#.a"),
            ("a.#.*.b.#", "a.*.#.b.#"),
            ("#.a.*", "#.a.*"),
        ] {
            assert_eq!(TopicPattern::new(text).unwrap().as_str(), wanted, "{text}");
        }
    }

    #[test]
    fn rules_are_named() {
        assert_eq!(Topic::new(""), Err(TopicError::EmptyWord));
        assert_eq!(Topic::new("a..b"), Err(TopicError::EmptyWord));
        assert_eq!(Topic::new("a.*"), Err(TopicError::Wildcard));
        assert_eq!(Topic::new("a b"), Err(TopicError::ForbiddenCharacter));
        assert_eq!(Topic::new("a,b"), Err(TopicError::ForbiddenCharacter));
        assert_eq!(Topic::new(&"a".repeat(256)), Err(TopicError::TooLong));
        assert_eq!(TopicPattern::new("a.b*"), Err(TopicError::PartialWildcard));
        assert!(TopicPattern::new("*.#.a").is_ok());
    }
}
