//! What the server says.

use super::socket::Frame;
use crate::hub::Gap;
use crate::json::{gap_members, members, quoted};
use crate::{Entry, Position, TopicSet};

pub(crate) fn notification(entry: &Entry, replay: bool) -> Frame {
    let replay = if replay { r#","replay":true"# } else { "" };
    Frame::text(&format!(r#"{{"type":"notification",{}{replay}}}"#, members(entry)))
}

pub(super) fn connected(client_id: &str, position: Position) -> Frame {
    Frame::text(&format!(r#"{{"type":"connected","clientId":"{client_id}","position":"{position}"}}"#))
}

pub(super) fn gap(gap: &Gap) -> Frame {
    Frame::text(&format!(r#"{{"type":"gap",{},"position":"{}"}}"#, gap_members(gap), gap.resumes_after))
}

pub(super) fn subscribed(topics: &TopicSet, position: Position) -> Frame {
    let topics: Vec<String> = topics.patterns().iter().map(|pattern| quoted(pattern.as_str())).collect();
    Frame::text(&format!(
        r#"{{"type":"subscribed","topics":[{}],"position":"{position}"}}"#,
        topics.join(",")
    ))
}

pub(super) fn checkpoint(position: Position) -> Frame {
    Frame::text(&format!(r#"{{"type":"checkpoint","position":"{position}"}}"#))
}

pub(super) fn error(code: &str, message: &str) -> Frame {
    Frame::text(&format!(r#"{{"type":"error","code":"{code}","message":{}}}"#, quoted(message)))
}

pub(super) fn pong() -> Frame {
    Frame::text(r#"{"type":"pong"}"#)
}
