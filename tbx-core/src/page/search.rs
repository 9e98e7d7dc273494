//! What a list is searched by.

use std::fmt;

use crate::student::{Student, search_key};

/// The beginning of a first name, last name or email address, ignoring case: trimmed, 1 to 100 characters, no control
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SearchPrefix {
    text: String,
    key: String,
}

impl SearchPrefix {
    /// Most characters a search may have.
    pub const MAX_CHARS: usize = 100;

    /// Reads a search, without the white space around it.
    ///
    /// # Errors
    ///
    /// [`InvalidSearchPrefix`] when nothing is left, or too much, or a control character is in it.
    pub fn parse(text: &str) -> Result<Self, InvalidSearchPrefix> {
        let text = text.trim();
        let fits = (1..=Self::MAX_CHARS).contains(&text.chars().count());
        if !fits || text.chars().any(char::is_control) {
            return Err(InvalidSearchPrefix);
        }
        Ok(Self { text: text.to_owned(), key: search_key(text) })
    }

    /// The search as given, trimmed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The search in lower case, to be compared literally with the beginning of the names' search keys and of the
    /// email's key. No character in it is a wildcard.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether this finds `student`.
    pub fn finds(&self, student: &Student) -> bool {
        student.first_name.search_key().starts_with(&self.key)
            || student.last_name.search_key().starts_with(&self.key)
            || student.email.key().as_str().starts_with(&self.key)
    }
}

impl fmt::Display for SearchPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The search is empty, has more than 100 characters, or has a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("search is not 1 to 100 characters without control characters")]
pub struct InvalidSearchPrefix;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_trimmed_and_lowered() {
        let search = SearchPrefix::parse("  ÉLO ").unwrap();
        assert_eq!((search.as_str(), search.key()), ("ÉLO", "élo"));
        for wrong in ["", "  ", "a\nb", &"a".repeat(101)] {
            assert_eq!(SearchPrefix::parse(wrong), Err(InvalidSearchPrefix));
        }
    }
}
