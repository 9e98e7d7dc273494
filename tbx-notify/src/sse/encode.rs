//! The wire form of events.

use std::fmt::Write;

use bytes::Bytes;

use crate::hub::Gap;
use crate::{Entry, Position, json};

/// The event of a notification.
pub(crate) fn notification(entry: &Entry) -> Bytes {
    let notification = entry.notification();
    // A body is UTF-8 by construction.
    let body = std::str::from_utf8(notification.body()).unwrap_or_default();
    event(entry.position(), notification.event().as_str(), body)
}

/// The first event of a stream.
pub(super) fn connected(client_id: &str, position: Position) -> Bytes {
    event(position, "connected", &format!(r#"{{"clientId":"{client_id}","position":"{position}"}}"#))
}

/// Something may have been missed.
pub(super) fn gap(gap: &Gap) -> Bytes {
    let data = format!("{{{}}}", json::gap_members(gap));
    event(gap.resumes_after, "gap", &data)
}

/// Moves the client's last id and does nothing else: an event without data is not dispatched (9.2.6).
pub(super) fn checkpoint(position: Position) -> Bytes {
    format!("id: {position}\n\n").into()
}

/// Tells the client when to come back.
pub(super) fn retry(milliseconds: u64) -> Bytes {
    format!("retry: {milliseconds}\n\n").into()
}

fn event(position: Position, name: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + name.len() + 64);
    // Writing to a string cannot fail. The name holds no line break by construction.
    let _ = write!(text, "id: {position}\nevent: {name}\n");
    for line in lines(data) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into()
}

/// Splits at every line end that the standard knows: CR LF, LF, CR.
fn lines(mut data: &str) -> impl Iterator<Item = &str> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        match data.find(['\r', '\n']) {
            None => {
                done = true;
                Some(data)
            }
            Some(at) => {
                let line = &data[..at];
                let width = if data[at..].starts_with("\r\n") { 2 } else { 1 };
                data = &data[at + width..];
                Some(line)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    #[test]
    fn data_cannot_break_out_of_its_event() {
        let position = Position::new(Epoch::new(0xab), 7);
        assert_eq!(
            event(position, "Happened", "a\nb\r\nc\rd\n"),
            "id: ab-7\nevent: Happened\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        );
    }

    #[test]
    fn empty_data_is_still_dispatched() {
        assert_eq!(event(Position::new(Epoch::new(1), 1), "E", ""), "id: 1-1\nevent: E\ndata: \n\n");
    }
}
