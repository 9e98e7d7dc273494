//! Entity tags: `"<version>.<updates>"` (RFC 9110, 8.8.3 and 13.1).

use poem::http::HeaderMap;
use tbx_core::{Student, Version};
use tbx_service::problem::Problem;

use crate::problems;

/// The entity tag of a student.
pub(crate) fn entity_tag(student: &Student) -> String {
    format!("\"{}.{}\"", student.version.get(), student.updates)
}

/// A condition on the state of a student.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Any state, as long as there is one.
    Any,
    /// One of these tags.
    Tags(Vec<Tag>),
}

/// One tag of a condition, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    weak: bool,
    text: String,
}

impl Condition {
    /// Reads the header `name`, whose lines are one list (RFC 9110, 5.3). A tag that is no text is some tag, and none of ours: ignored, it
    /// would let a write through that was to hold for another state only.
    pub(crate) fn of(headers: &HeaderMap, name: &'static str) -> Result<Option<Self>, Problem> {
        let lines: Vec<_> =
            headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        if lines.is_empty() { Ok(None) } else { Self::read(name, &lines.join(", ")).map(Some) }
    }

    fn read(name: &str, value: &str) -> Result<Self, Problem> {
        let value = value.trim();
        if value == "*" {
            return Ok(Self::Any);
        }
        let tags = tags(value)
            .ok_or_else(|| problems::malformed(name, "must be `*` or a list of quoted entity tags"))?;
        Ok(Self::Tags(tags))
    }

    /// Whether the state is one of these, by weak comparison, as `If-None-Match` asks.
    pub(crate) fn names(&self, student: &Student) -> bool {
        let current = entity_tag(student);
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.text == current.trim_matches('"')),
        }
    }

    /// The versions that `If-Match` allows, by strong comparison of the version part; `None` for any.
    pub(crate) fn versions(&self) -> Option<Vec<Version>> {
        let version = |tag: &Tag| {
            let (version, updates) = tag.text.split_once('.').filter(|_| !tag.weak)?;
            counted(updates)?;
            Version::new(counted(version)?)
        };
        match self {
            Self::Any => None,
            Self::Tags(tags) => Some(tags.iter().filter_map(version).collect()),
        }
    }
}

/// A number as we write it: a tag that only looks like one of ours is somebody else's.
fn counted(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn tags(mut rest: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (text, after) = quoted.split_once('"')?;
        tags.push(Tag { weak, text: text.to_owned() });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(value: &str) -> Option<Vec<u64>> {
        let condition = Condition::read("If-Match", value).ok()?;
        Some(condition.versions()?.into_iter().map(Version::get).collect())
    }

    #[test]
    fn if_match_compares_the_version_part_of_strong_tags() {
        assert_eq!(versions(r#""3.1""#), Some(vec![3]));
        assert_eq!(versions(r#""3.1", "4.0""#), Some(vec![3, 4]));
        assert_eq!(versions(r#"W/"3.1""#), Some(vec![]));
        for foreign in ["other", "3", "3.", ".1", "3.x", "03.1", "3.01", "+3.1", "3.1.0", "3.-1", "0.0", ""] {
            assert_eq!(versions(&format!("\"{foreign}\"")), Some(vec![]), "{foreign}");
        }
        assert_eq!(versions("*"), None);
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for value in ["", "3.1", "\"3.1", "\"3.1\" \"4.0\"", ","] {
            assert!(Condition::read("If-Match", value).is_err(), "{value}");
        }
    }
}
