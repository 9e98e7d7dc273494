//! What a client says.

use serde::Deserialize;
use tbx_bus::TopicPattern;

use crate::MAX_PATTERNS;

/// What a client says, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Subscribe { topics: Vec<TopicPattern>, after: Option<String> },
    Unsubscribe { topics: Vec<TopicPattern> },
    Ping,
}

/// What is wrong with a message, for its sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn unreadable(message: impl Into<String>) -> Self {
        Self::new("bad-request", message)
    }
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: String,
    topics: Option<Topics>,
    after: Option<String>,
}

/// A list, or one text with commas, as in the query.
#[derive(Deserialize)]
#[serde(untagged)]
enum Topics {
    List(Vec<String>),
    Text(String),
}

impl Command {
    pub(super) fn read(text: &str) -> Result<Self, Mistake> {
        let Written { kind, topics, after } = serde_json::from_str(text).map_err(|error| {
            Mistake::unreadable(format!("a message is a JSON object with `type`: {error}"))
        })?;
        match kind.as_str() {
            "subscribe" => Ok(Self::Subscribe { topics: patterns(topics)?, after }),
            "unsubscribe" => Ok(Self::Unsubscribe { topics: patterns(topics)? }),
            "ping" => Ok(Self::Ping),
            _ => Err(Mistake::unreadable("`type` is `subscribe`, `unsubscribe` or `ping`")),
        }
    }
}

fn patterns(topics: Option<Topics>) -> Result<Vec<TopicPattern>, Mistake> {
    let texts = match topics {
        Some(Topics::List(texts)) => texts,
        Some(Topics::Text(text)) => text.split(',').map(str::to_owned).collect(),
        None => Vec::new(),
    };
    if texts.is_empty() {
        return Err(Mistake::unreadable("`topics` is a list with at least one pattern"));
    }
    if texts.len() > MAX_PATTERNS {
        return Err(Mistake::new("too-many-topics", format!("at most {MAX_PATTERNS} patterns at a time")));
    }
    let pattern = |text: &String| {
        TopicPattern::new(text.trim()).map_err(|error| {
            let text: String = text.chars().take(80).collect();
            Mistake::unreadable(format!("`{text}` is no topic pattern: {error}"))
        })
    };
    texts.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> TopicPattern {
        TopicPattern::new(text).unwrap()
    }

    #[test]
    fn topics_are_a_list_or_separated_by_commas() {
        let wanted =
            Command::Subscribe { topics: vec![pattern("a.*"), pattern("b")], after: Some("1-2".to_owned()) };
        for text in [
            r#"{"type":"subscribe","topics":["a.*","b"],"after":"1-2"}"#,
            r#"{"after":"1-2","topics":"a.*, b","type":"subscribe","more":[{}]}"#,
        ] {
            assert_eq!(Command::read(text).as_ref(), Ok(&wanted), "{text}");
        }
        assert_eq!(Command::read(r#"{"type":"ping"}"#), Ok(Command::Ping));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, code, wanted) in [
            ("", "bad-request", "a message is a JSON object"),
            ("[]", "bad-request", "a message is a JSON object"),
            ("{}", "bad-request", "missing field `type`"),
            (r#"{"type":"shout"}"#, "bad-request", "`type` is `subscribe`"),
            (r#"{"type":"subscribe"}"#, "bad-request", "at least one pattern"),
            (r#"{"type":"subscribe","topics":[]}"#, "bad-request", "at least one pattern"),
            (r#"{"type":"subscribe","topics":["a..b"]}"#, "bad-request", "`a..b` is no topic pattern"),
        ] {
            let mistake = Command::read(text).unwrap_err();
            assert_eq!(mistake.code, code, "{text}");
            assert!(mistake.message.contains(wanted), "{text}: {}", mistake.message);
        }
        let many = format!(r#"{{"type":"subscribe","topics":"{}"}}"#, ["a"; 33].join(","));
        assert_eq!(Command::read(&many).unwrap_err().code, "too-many-topics");
    }
}
