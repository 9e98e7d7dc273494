//! Names that nobody knows, and what was probably meant.

use super::{ConfigError, KEYS};

/// The key of this name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    KEYS.iter().map(|key| key.name).find(|key| *key == name)
}

/// An error for a name written as `written`, spelled like the other names of its source.
pub(super) fn unknown(written: &str, kind: &str, name: &str, spell: impl Fn(&str) -> String) -> ConfigError {
    let remedy = match nearest(name) {
        Some(key) => format!("did you mean {}?", spell(key)),
        None => "remove it, or see the effective settings for the names there are".to_owned(),
    };
    ConfigError::new(format!("{written}: unknown {kind}; {remedy}"))
}

/// The key with the fewest edits, if they are few against its length.
fn nearest(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (edits(name, key.name), key.name))
        .filter(|(edits, key)| *edits <= key.len().div_ceil(3))
        .min()
        .map(|(_, key)| key)
}

/// Levenshtein distance.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, from) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        assert_eq!(nearest("api_listn"), Some("api_listen"));
        assert_eq!(nearest("databse_url"), Some("database_url"));
        assert_eq!(nearest("lgo"), None);
        assert_eq!(nearest("logs"), Some("log"));
        assert_eq!(nearest("favourite_colour"), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
