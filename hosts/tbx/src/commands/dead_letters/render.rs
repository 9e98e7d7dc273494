//! Letters as text.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Value, json};
use tbx_backends::Letter;

/// Longest reason shown in the table.
const DETAIL_CHARS: usize = 60;

pub(super) fn table(letters: &[Letter]) -> String {
    if letters.is_empty() {
        return "There are no dead letters.\n".to_owned();
    }
    let head = ["ID", "DIED AT", "CHANNEL", "GROUP", "TOPIC", "ATTEMPTS", "REASON", "DETAIL"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(letters.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn row(letter: &Letter) -> [String; 8] {
    [
        letter.id.to_string(),
        if letter.died_at.is_none() { "-".to_owned() } else { died_at(letter) },
        plain(&letter.channel),
        if letter.group.is_empty() { "-".to_owned() } else { plain(&letter.group) },
        plain(&letter.topic),
        letter.attempts.to_string(),
        plain(&letter.reason),
        plain(&letter.detail).chars().take(DETAIL_CHARS).collect(),
    ]
}

pub(super) fn one(letter: &Letter) -> String {
    let kind = letter.kind.as_deref().unwrap_or("(cannot be read)");
    let mut text = String::new();
    for (name, value) in [
        ("id", letter.id.to_string()),
        ("message", letter.message_id.clone()),
        ("type", kind.to_owned()),
        ("channel", letter.channel.clone()),
        ("group", letter.group.clone()),
        ("topic", letter.topic.clone()),
        ("attempts", letter.attempts.to_string()),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone()),
        ("died at", died_at(letter)),
        ("body", String::from_utf8_lossy(&letter.body).into_owned()),
    ] {
        let value = plain(&value);
        let _ = writeln!(text, "{name:<9} {}", if value.is_empty() { "-" } else { &value });
    }
    text
}

pub(super) fn list_as_json(letters: &[Letter]) -> String {
    format!("{}\n", letters.iter().map(object).collect::<Value>())
}

pub(super) fn one_as_json(letter: &Letter) -> String {
    let mut object = object(letter);
    // A body that is no JSON is shown as text.
    object["body"] = serde_json::from_slice(&letter.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&letter.body).into_owned()));
    format!("{object}\n")
}

fn object(letter: &Letter) -> Value {
    json!({
        "id": letter.id.to_string(),
        "messageId": letter.message_id,
        "type": letter.kind,
        "channel": letter.channel,
        "group": letter.group,
        "topic": letter.topic,
        "attempts": letter.attempts,
        "reason": letter.reason,
        "detail": letter.detail,
        "diedAt": letter.died_at.map(|_| died_at(letter)),
    })
}

/// A broker does not tell it.
fn died_at(letter: &Letter) -> String {
    letter.died_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

/// One line that a terminal shows and does not obey.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}d"), "a [2Jb c d");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(table(&[]), "There are no dead letters.\n");
        assert_eq!(list_as_json(&[]), "[]\n");
    }
}
