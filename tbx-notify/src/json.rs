//! JSON as clients see it, written without a detour over values.

use std::fmt::Write;

#[cfg(any(feature = "websocket", feature = "poll"))]
use crate::Entry;
#[cfg(any(feature = "sse", feature = "websocket", feature = "poll"))]
use crate::hub::Gap;

/// `"position":…,"topic":…,"event":…,"data":…`, as the members of an object.
#[cfg(any(feature = "websocket", feature = "poll"))]
pub(crate) fn members(entry: &Entry) -> String {
    let notification = entry.notification();
    let (topic, event) = (quoted(notification.topic().as_str()), quoted(notification.event().as_str()));
    let data = data(notification.body());
    format!(r#""position":"{}","topic":{topic},"event":{event},"data":{data}"#, entry.position())
}

/// A body as a JSON value: as it is when it is JSON, else as a string.
#[cfg(any(feature = "websocket", feature = "poll"))]
fn data(body: &[u8]) -> std::borrow::Cow<'_, str> {
    // A body is UTF-8 by construction.
    let text = std::str::from_utf8(body).unwrap_or_default();
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => text.into(),
        Err(_) => quoted(text).into(),
    }
}

/// `"reason":…,"requested":…,"oldest":…,"newest":…`, as the members of an object.
#[cfg(any(feature = "sse", feature = "websocket", feature = "poll"))]
pub(crate) fn gap_members(gap: &Gap) -> String {
    let requested = gap.requested.as_deref().map_or_else(|| "null".to_owned(), quoted);
    format!(
        r#""reason":"{}","requested":{requested},"oldest":"{}","newest":"{}""#,
        gap.reason.as_str(),
        gap.oldest,
        gap.newest
    )
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                // Writing to a string cannot fail. Every control character lies below U+00A0.
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_quoted() {
        assert_eq!(quoted("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\u000a\\u0001é\"");
    }

    #[cfg(any(feature = "websocket", feature = "poll"))]
    #[test]
    fn a_body_that_is_no_json_becomes_a_string() {
        for (body, wanted) in [
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("7", "7"),
            ("", "\"\""),
            ("{", "\"{\""),
            ("1 2", "\"1 2\""),
            ("\"open", "\"\\\"open\""),
        ] {
            assert_eq!(data(body.as_bytes()), wanted, "{body}");
        }
    }
}
