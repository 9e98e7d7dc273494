//! What the server says.

use bytes::Bytes;

use super::socket::text_frame;
use crate::hub::Gap;
use crate::json::{gap_members, members, quoted};
use crate::{Entry, Position, TopicSet};

pub(crate) fn notification(entry: &Entry, replay: bool) -> Bytes {
    let replay = if replay { r#","replay":true"# } else { "" };
    text_frame(&format!(r#"{{"type":"notification",{}{replay}}}"#, members(entry)))
}

pub(super) fn connected(client_id: &str, position: Position) -> Bytes {
    text_frame(&format!(r#"{{"type":"connected","clientId":"{client_id}","position":"{position}"}}"#))
}

pub(super) fn gap(gap: &Gap) -> Bytes {
    text_frame(&format!(r#"{{"type":"gap",{},"position":"{}"}}"#, gap_members(gap), gap.resumes_after))
}

pub(super) fn subscribed(topics: &TopicSet, position: Position) -> Bytes {
    let topics: Vec<String> = topics.patterns().iter().map(|pattern| quoted(pattern.as_str())).collect();
    text_frame(&format!(r#"{{"type":"subscribed","topics":[{}],"position":"{position}"}}"#, topics.join(",")))
}

pub(super) fn checkpoint(position: Position) -> Bytes {
    text_frame(&format!(r#"{{"type":"checkpoint","position":"{position}"}}"#))
}

pub(super) fn error(code: &str, message: &str) -> Bytes {
    text_frame(&format!(r#"{{"type":"error","code":"{code}","message":{}}}"#, quoted(message)))
}

pub(super) fn pong() -> Bytes {
    text_frame(r#"{"type":"pong"}"#)
}
