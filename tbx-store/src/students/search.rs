//! Searching by prefix where texts are compared byte by byte.

/// The least text beyond every text that begins with `prefix`; `None` when there is none.
pub(super) fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The code points between the surrogates do not exist.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn the_successor_lies_beyond_every_text_with_the_prefix() {
        assert_eq!(successor("ab"), Some("ac".to_owned()));
        assert_eq!(successor("a\u{10ffff}"), Some("b".to_owned()));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor("\u{d7ff}"), Some("\u{e000}".to_owned()));
    }
}
