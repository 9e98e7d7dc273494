//! The name of a person.

use std::fmt;

/// A first or last name: trimmed, 1 to 100 characters, at least one of them visible, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonName(String);

impl PersonName {
    /// Most characters a name may have.
    pub const MAX_CHARS: usize = 100;

    /// Reads a name, without the white space around it.
    ///
    /// # Errors
    ///
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter);
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(NameError::TooLong);
        }
        if !name.chars().any(is_visible) {
            return Err(NameError::Invisible);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as given, trimmed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case, by which it is searched and sorted.
    ///
    /// Each character is lowered for itself, so that the key of a beginning is the beginning of the key.
    pub fn search_key(&self) -> String {
        search_key(&self.0)
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("is empty")]
    Empty,
    /// More than 100 characters.
    #[error("is longer than 100 characters")]
    TooLong,
    /// A control character, such as a line break, is in it.
    #[error("contains a control character")]
    ControlCharacter,
    /// Nobody could see it, such as a zero-width space alone.
    #[error("has no visible character")]
    Invisible,
}

impl NameError {
    /// A stable name of the rule, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::ControlCharacter => "control-character",
            Self::Invisible => "invisible",
        }
    }
}

/// Whether a character shows as something: no white space, and none of those that only say how others are shown.
fn is_visible(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !IGNORABLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// `Default_Ignorable_Code_Point` of the Unicode Character Database, the marks of annotations, and the empty braille pattern.
const IGNORABLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Lowers each character for itself.
///
/// `str::to_lowercase` looks at the end of the word to choose between the two small sigmas, by which a prefix could
/// get a key that is no prefix; here both are the same letter.
pub(crate) fn search_key(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|letter| if letter == 'ς' { 'σ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_trimmed_and_its_characters_are_counted_not_its_bytes() {
        assert_eq!(PersonName::parse("  Zoë ").unwrap().as_str(), "Zoë");
        assert!(PersonName::parse(&"é".repeat(100)).is_ok());
        assert_eq!(PersonName::parse(&"é".repeat(101)), Err(NameError::TooLong));
        assert_eq!(PersonName::parse(" \t\n"), Err(NameError::Empty));
        assert_eq!(PersonName::parse("a\u{0}b"), Err(NameError::ControlCharacter));
        assert_eq!(PersonName::parse("a\u{85}b"), Err(NameError::ControlCharacter));
    }

    #[test]
    fn a_name_that_nobody_could_see_is_none() {
        for text in
            ["\u{200b}", "\u{202e}\u{200d}", "\u{3164}", "\u{feff}", "\u{ad}\u{2003}\u{2060}", "\u{e0041}"]
        {
            assert_eq!(PersonName::parse(text), Err(NameError::Invisible), "{text:?}");
        }
        for text in ["A\u{200d}", "\u{202e}Ada", "👩\u{200d}🚀", "\u{301}", "ﾡ", "נ\u{200f}"] {
            assert!(PersonName::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn the_key_ignores_case_beyond_ascii() {
        assert_eq!(PersonName::parse("ÉLODIE").unwrap().search_key(), "élodie");
        assert_eq!(search_key("ΟΔΥΣΣΕΥΣ"), search_key("οδυσσευς"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_keeps_the_rules(text in any::<String>()) {
            if let Ok(name) = PersonName::parse(&text) {
                prop_assert_eq!(name.as_str(), text.trim());
                prop_assert!((1..=100).contains(&name.as_str().chars().count()));
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name));
            }
        }

        #[test]
        fn the_key_of_a_beginning_is_the_beginning_of_the_key(start in "[\\PCΣςİ]{0,20}", rest in "[\\PCΣς]{0,20}") {
            let whole = format!("{start}{rest}");
            prop_assert!(search_key(&whole).starts_with(&search_key(&start)));
        }
    }
}
