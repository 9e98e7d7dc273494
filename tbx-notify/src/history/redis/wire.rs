//! Reading what Redis answers.

use std::sync::Arc;

use redis::Value;
use tbx_bus::{MessageId, Topic, TraceContext};

use super::super::contract::HistoryError;
use crate::{Entry, EventName, Notification, Position};

/// Names and values of an entry.
const WITHOUT_TRACE: usize = 10;
const WITH_TRACE: usize = 12;

/// An entry as it came: its offset, its id, topic, event and body, and its trace when it has one.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) offset: u64,
    notification: Notification,
}

impl Stored {
    pub(super) fn at(self, position: Position) -> Arc<Entry> {
        Arc::new(Entry::new(position, self.notification))
    }
}

/// The answer to a range of a stream.
pub(super) fn entries(value: Value) -> Result<Vec<Stored>, HistoryError> {
    array(value)?.into_iter().map(entry).collect()
}

/// The answer to a read of one stream, which is nothing when nothing came in time.
pub(super) fn read(value: Value) -> Result<Vec<Stored>, HistoryError> {
    let of_stream = match value {
        Value::Nil => None,
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        other => match array(other)?.into_iter().next() {
            Some(stream) => array(stream)?.into_iter().nth(1),
            None => None,
        },
    };
    of_stream.map_or(Ok(Vec::new()), entries)
}

/// An offset and a topic each, in turn.
pub(super) fn topics(value: Value) -> Result<Vec<(u64, Topic)>, HistoryError> {
    let mut parts = array(value)?.into_iter();
    let mut topics = Vec::new();
    while let (Some(offset), Some(topic)) = (parts.next(), parts.next()) {
        topics.push((number(&offset)?, self::topic(&text(topic)?)?));
    }
    Ok(topics)
}

/// A topic and an offset each, in turn, as members and scores come; in pairs when the protocol has them so.
pub(super) fn scores(value: Value) -> Result<Vec<(Topic, u64)>, HistoryError> {
    let mut flat = Vec::new();
    for part in array(value)? {
        match part {
            Value::Array(pair) => flat.extend(pair),
            single => flat.push(single),
        }
    }
    let mut parts = flat.into_iter();
    let mut scores = Vec::new();
    while let (Some(topic), Some(offset)) = (parts.next(), parts.next()) {
        scores.push((self::topic(&text(topic)?)?, number(&offset)?));
    }
    Ok(scores)
}

pub(super) fn array(value: Value) -> Result<Vec<Value>, HistoryError> {
    match value {
        Value::Array(parts) => Ok(parts),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected("a list")),
    }
}

pub(super) fn text(value: Value) -> Result<String, HistoryError> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|error| corrupt("a text", error)),
        Value::SimpleString(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(unexpected("a text")),
    }
}

pub(super) fn number(value: &Value) -> Result<u64, HistoryError> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|error| corrupt("a number", error)),
        Value::Double(number) if *number >= 0.0 => Ok(*number as u64),
        Value::BulkString(bytes) => std::str::from_utf8(bytes)
            .map_err(|error| corrupt("a number", error))?
            .parse()
            .map_err(|error| corrupt("a number", error)),
        _ => Err(unexpected("a number")),
    }
}

fn entry(value: Value) -> Result<Stored, HistoryError> {
    let [place, fields] = <[Value; 2]>::try_from(array(value)?).map_err(|_| unexpected("an entry"))?;
    let place = text(place)?;
    let offset = place.split_once('-').and_then(|(offset, _)| offset.parse().ok());
    let offset: u64 = offset.ok_or_else(|| unexpected("the place of an entry"))?;
    let mut fields = array(fields)?;
    let trace = if fields.len() == WITH_TRACE { fields.split_off(WITHOUT_TRACE).pop() } else { None };
    let [_, id, _, topic, _, event, _, body, _, _] =
        <[Value; WITHOUT_TRACE]>::try_from(fields).map_err(|_| unexpected("the fields of an entry"))?;
    let Value::BulkString(body) = body else { return Err(unexpected("the body of an entry")) };
    let what = || format!("stored entry {offset}");
    let notification = Notification::new(
        MessageId::new(&text(id)?).map_err(|error| corrupt(&what(), error))?,
        self::topic(&text(topic)?)?,
        EventName::new(&text(event)?).map_err(|error| corrupt(&what(), error))?,
        body,
    )
    .map_err(|error| corrupt(&what(), error))?;
    // A trace that cannot be read is no loss to anybody who waits for the notification.
    let trace = trace.and_then(|trace| TraceContext::parse(&text(trace).ok()?).ok());
    Ok(Stored { offset, notification: notification.with_trace(trace) })
}

fn topic(text: &str) -> Result<Topic, HistoryError> {
    Topic::new(text).map_err(|error| corrupt(&format!("stored topic {text:?}"), error))
}

fn unexpected(what: &str) -> HistoryError {
    HistoryError::new(format!(
        "its keys do not hold {what} where one belongs; another program writes to them, or another version"
    ))
}

fn corrupt(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> HistoryError {
    HistoryError::new(what).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn stored(place: &str) -> Value {
        let fields = ["i", "id", "t", "a.b", "e", "Happened", "b", "{}", "a", "5"].map(bulk);
        Value::Array(vec![bulk(place), Value::Array(fields.to_vec())])
    }

    #[test]
    fn both_protocols_are_read() {
        let list = Value::Array(vec![stored("7-0"), stored("8-0")]);
        let old = Value::Array(vec![Value::Array(vec![bulk("key"), list.clone()])]);
        let new = Value::Map(vec![(bulk("key"), list)]);
        for answer in [old, new] {
            let offsets: Vec<u64> = read(answer).unwrap().iter().map(|stored| stored.offset).collect();
            assert_eq!(offsets, [7, 8]);
        }
        assert!(read(Value::Nil).unwrap().is_empty());
        let flat = Value::Array(vec![bulk("a"), bulk("3")]);
        let paired = Value::Array(vec![Value::Array(vec![bulk("a"), Value::Double(3.0)])]);
        assert_eq!(scores(flat).unwrap(), scores(paired).unwrap());
    }

    #[test]
    fn an_entry_may_have_a_trace_and_one_that_cannot_be_read_is_none() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (written, read) in [(traceparent, Some(traceparent)), ("00-zz", None)] {
            let Value::Array(mut entry) = stored("7-0") else { panic!("a list") };
            let Some(Value::Array(fields)) = entry.get_mut(1) else { panic!("fields") };
            fields.extend([bulk("p"), bulk(written)]);
            let entries = entries(Value::Array(vec![Value::Array(entry)])).unwrap();
            let trace = entries[0].notification.trace();
            assert_eq!(trace.map(TraceContext::traceparent), read);
        }
    }

    #[test]
    fn what_others_have_written_is_an_error_and_no_panic() {
        let short = Value::Array(vec![bulk("7-0"), Value::Array(vec![bulk("x"), bulk("y")])]);
        for answer in [Value::Okay, Value::Array(vec![Value::Int(-1)]), Value::Array(vec![short])] {
            assert!(entries(answer).is_err());
        }
        assert!(entries(Value::Array(vec![stored("seven")])).is_err());
        assert!(number(&bulk("1e3")).is_err() && number(&Value::Int(-1)).is_err());
    }
}
