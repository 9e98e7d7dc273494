//! What is published.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tbx_bus::{MessageId, Topic, TopicPattern};

use crate::rejection::{FieldFault, Rejection};
use crate::{EventName, Notification};

/// Event names that have a meaning of their own to clients.
pub const RESERVED_EVENTS: [&str; 6] = ["connected", "gap", "open", "error", "message", "reconnect"];

/// The notification in a body.
pub(super) fn read(body: &[u8], reserved: &[TopicPattern]) -> Result<Notification, Rejection> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Rejection::query(format!("the body is no JSON: error at line {line}, column {column}"))
    })?;
    // The members as they were written: numbers keep their digits, objects their order.
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(whole.get())
        .map_err(|_| Rejection::fields(vec![fault("#", "wrong-type", "must be a JSON object")]))?;
    let mut faults = Vec::new();
    let topic =
        keep(text(members.get("topic"), "#/topic").and_then(|text| topic(&text, reserved)), &mut faults);
    let event = keep(text(members.get("event"), "#/event").and_then(|text| event(&text)), &mut faults);
    let data =
        keep(members.get("data").ok_or_else(|| fault("#/data", "missing", "is required")), &mut faults);
    match (topic, event, data) {
        (Some(topic), Some(event), Some(data)) => {
            // JSON is UTF-8.
            Notification::new(MessageId::generate(), topic, event, data.get().to_owned())
                .map_err(|error| Rejection::fields(vec![fault("#/data", "invalid", error.to_string())]))
        }
        _ => Err(Rejection::fields(faults)),
    }
}

fn keep<T>(result: Result<T, FieldFault>, faults: &mut Vec<FieldFault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn text(value: Option<&&RawValue>, pointer: &'static str) -> Result<String, FieldFault> {
    let value = value.ok_or_else(|| fault(pointer, "missing", "is required"))?;
    serde_json::from_str(value.get()).map_err(|_| fault(pointer, "wrong-type", "must be a string"))
}

fn topic(text: &str, reserved: &[TopicPattern]) -> Result<Topic, FieldFault> {
    let topic = Topic::new(text).map_err(|error| fault("#/topic", "invalid", error.to_string()))?;
    match reserved.iter().any(|pattern| pattern.matches_private_too(&topic)) {
        true => Err(fault("#/topic", "reserved", "topics like this are told by the system itself")),
        false => Ok(topic),
    }
}

fn event(text: &str) -> Result<EventName, FieldFault> {
    let event = EventName::new(text).map_err(|error| fault("#/event", "invalid", error.to_string()))?;
    match RESERVED_EVENTS.contains(&text) {
        true => Err(fault("#/event", "reserved", "has a meaning of its own to clients")),
        false => Ok(event),
    }
}

fn fault(pointer: &'static str, code: &'static str, detail: impl Into<String>) -> FieldFault {
    FieldFault { pointer, code, detail: detail.into() }
}
