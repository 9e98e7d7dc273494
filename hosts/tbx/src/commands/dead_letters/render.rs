//! Letters as text.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Value, json};
use tbx_store::sqlite::FiledLetter;

/// Longest reason shown in the table.
const DETAIL_CHARS: usize = 60;

pub(super) fn table(letters: &[FiledLetter]) -> String {
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

fn row(filed: &FiledLetter) -> [String; 8] {
    let letter = &filed.letter;
    [
        letter.id.to_string(),
        died_at(filed),
        plain(&filed.channel),
        if letter.group.is_empty() { "-".to_owned() } else { plain(&letter.group) },
        plain(&filed.topic),
        letter.attempts.to_string(),
        plain(&letter.reason),
        plain(&letter.detail).chars().take(DETAIL_CHARS).collect(),
    ]
}

pub(super) fn one(filed: &FiledLetter) -> String {
    let letter = &filed.letter;
    let kind = letter.message.as_ref().map_or("(cannot be read)", |message| message.kind());
    let mut text = String::new();
    for (name, value) in [
        ("id", letter.id.to_string()),
        ("message", letter.message_id.clone()),
        ("type", kind.to_owned()),
        ("channel", filed.channel.clone()),
        ("group", letter.group.clone()),
        ("topic", filed.topic.clone()),
        ("attempts", letter.attempts.to_string()),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone()),
        ("died at", died_at(filed)),
        ("body", String::from_utf8_lossy(&filed.body).into_owned()),
    ] {
        let value = plain(&value);
        let _ = writeln!(text, "{name:<9} {}", if value.is_empty() { "-" } else { &value });
    }
    text
}

pub(super) fn list_as_json(letters: &[FiledLetter]) -> String {
    format!("{}\n", letters.iter().map(object).collect::<Value>())
}

pub(super) fn one_as_json(filed: &FiledLetter) -> String {
    let mut object = object(filed);
    // A body that is no JSON is shown as text.
    object["body"] = serde_json::from_slice(&filed.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&filed.body).into_owned()));
    format!("{object}\n")
}

fn object(filed: &FiledLetter) -> Value {
    let letter = &filed.letter;
    json!({
        "id": letter.id,
        "messageId": letter.message_id,
        "type": letter.message.as_ref().map(|message| message.kind()),
        "channel": filed.channel,
        "group": letter.group,
        "topic": filed.topic,
        "attempts": letter.attempts,
        "reason": letter.reason,
        "detail": letter.detail,
        "diedAt": died_at(filed),
    })
}

fn died_at(filed: &FiledLetter) -> String {
    filed.letter.died_at.to_rfc3339_opts(SecondsFormat::Millis, true)
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
