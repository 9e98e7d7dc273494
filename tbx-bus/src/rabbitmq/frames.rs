//! How large the frames of a connection are, and what fits into one.
//!
//! lapin gives each connection two rings of 32 frames. With the 128 KiB that brokers offer that is 8 MiB a connection, several times what a process
//! holds otherwise, and each reconnection takes as much again for a moment. A body goes in as many frames as it needs, but the headers of a message in
//! one. So frames are small, and what we send fits. What others send may not: a broker sends it all the same, which ends the connection, and the next
//! one has large ones.

use lapin::BasicProperties;
use lapin::protocol::basic::gen_properties;
use lapin::types::FrameSize;

use crate::{BusError, BusErrorKind};

/// In bytes.
const SMALL: FrameSize = 16 * 1024;
/// What brokers offer, and so what all who speak AMQP 0-9-1 may send to them, unless somebody has raised it. The rings take 64 times as much, of what is asked
/// for and not of what is agreed, so this is no place to be generous.
const LARGE: FrameSize = 128 * 1024;

/// What the headers and attributes of a published message may have, so that a letter about it fits too.
const MAX_PUBLISHED: usize = 8 * 1024;
/// What says that a message comes late, and on which topic. Whoever replays adds it to what was published before.
const OF_A_REPLAY: usize = 320;
/// What a broker may add to a message that it moves: where it was, and why it is there no more.
const OF_THE_BROKER: usize = 2 * 1024;

/// The frames of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    Small,
    /// For what others may send.
    Large,
}

impl Frames {
    /// What the handshake asks for; the broker may agree on less.
    pub(super) fn max(self) -> FrameSize {
        match self {
            Self::Small => SMALL,
            Self::Large => LARGE,
        }
    }

    /// Whether the broker agreed on less than what we send needs.
    pub(super) fn are_too_small(agreed: FrameSize) -> bool {
        agreed < SMALL
    }
}

/// Refuses to publish what may not fit any more once something has become of it.
pub(super) fn check_published(properties: &BasicProperties, is_replayed: bool) -> Result<(), BusError> {
    check(properties, MAX_PUBLISHED + if is_replayed { OF_A_REPLAY } else { 0 })
}

/// Refuses to send on what does not fit.
pub(super) fn check_moved(properties: &BasicProperties) -> Result<(), BusError> {
    check(properties, SMALL as usize - OF_THE_BROKER)
}

fn check(properties: &BasicProperties, allowed: usize) -> Result<(), BusError> {
    let too_large = |bytes: &str| {
        let context = format!("{bytes} bytes of headers and attributes where {allowed} are allowed");
        BusError::new(BusErrorKind::TooLarge, context)
    };
    // Writing to memory fails only for what AMQP has no form for.
    let written = gen_properties(properties)(Vec::new().into()).map_err(|_| too_large("more than 4 GiB"))?;
    if written.position > allowed as u64 {
        return Err(too_large(&written.position.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lapin::types::{AMQPValue, FieldTable};

    use super::super::{encode, letter, names, shelf::Item};
    use super::*;
    use crate::{Message, Reason, ReasonKind, Topic};

    /// The largest message that may be published, and what is one byte larger.
    fn largest() -> (Message, Message) {
        let topic = Topic::new(&format!("a.{}", "b".repeat(200))).unwrap();
        let bare = Message::new(topic, &"T".repeat(255), "").with_key("k").unwrap();
        let with = |bytes: usize| bare.clone().with_header("own", &"x".repeat(bytes));
        let bytes = (0..MAX_PUBLISHED).rev().find(|bytes| published(&with(*bytes)).is_ok()).unwrap();
        (with(bytes), with(bytes + 1))
    }

    fn published(message: &Message) -> Result<(), BusError> {
        let properties = encode::properties(message, Some("15"), &[]).unwrap();
        check_published(&properties, message.is_replayed())
    }

    #[test]
    fn what_may_be_published_may_be_moved_whatever_becomes_of_it() {
        let (largest, larger) = largest();
        assert_eq!(published(&larger).unwrap_err().kind(), BusErrorKind::TooLarge);
        // Replayed, it has one header more.
        let message = Arc::new(largest.replayed());
        published(&message).unwrap();
        let item = Item { tag: 1, message, attempt: u32::MAX, redelivered: true, slot: Some("15".into()) };
        let (name, detail) = ("n".repeat(200), "d".repeat(100_000));
        let reason = Reason::new(ReasonKind::AttemptsExhausted, detail);
        letter::letter(&item, &name, &name, &reason, u32::MAX).unwrap();
        letter::put_off(&item, &name).unwrap();
        letter::to_group(&item.message, &name, true).unwrap();
    }

    #[test]
    fn headers_of_others_that_do_not_fit_are_not_moved() {
        let mut table = FieldTable::default();
        let nested = vec![AMQPValue::LongString("x".repeat(15_000).into())];
        table.insert(names::short("nested"), AMQPValue::FieldArray(nested.into()));
        let properties = BasicProperties::default().with_headers(table);
        assert_eq!(check_moved(&properties).unwrap_err().kind(), BusErrorKind::TooLarge);
        check_moved(&BasicProperties::default()).unwrap();
    }
}
