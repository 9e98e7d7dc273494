//! Requests that may come twice.

use std::fmt;

/// The name that whoever asks gives to a request, so that a repetition of it is known: the same wish under the same key is carried out once.
///
/// Keys belong to the actor who chose them; those of others, or of nobody known, have nothing to do with them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(String);

impl RequestKey {
    /// Most characters a key may have.
    pub const MAX_CHARS: usize = 255;

    /// A key of that text.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestKey`] unless it has 1 to 255 characters, all of them printable ASCII.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidRequestKey> {
        let text = text.into();
        let fits = (1..=Self::MAX_CHARS).contains(&text.len());
        if !fits || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(InvalidRequestKey);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is empty, has more than 255 characters, or has one that is no printable ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request key is not 1 to 255 characters of printable ASCII")]
pub struct InvalidRequestKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_printable_ascii() {
        assert_eq!(RequestKey::new("my key-1").map(|key| key.to_string()), Ok("my key-1".to_owned()));
        assert!(RequestKey::new("k".repeat(255)).is_ok());
        for wrong in [String::new(), "k".repeat(256), "a\nb".to_owned(), "ä".to_owned(), "\u{7f}".to_owned()]
        {
            assert_eq!(RequestKey::new(wrong), Err(InvalidRequestKey));
        }
    }
}
