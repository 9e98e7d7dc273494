//! How large the frames of a connection may be.
//!
//! lapin gives each connection two rings of 32 frames and in time touches every page of them. With the 128 KiB that brokers allow that is 8 MiB a
//! connection, several times what a process holds otherwise. A body goes in as many frames as it needs, but the headers of a message in one. So
//! frames are small, and what we send fits; only what others send may not. A broker sends it all the same, which ends the connection, and the next
//! one takes the frames of the broker.

use lapin::types::{AMQPValue, FieldTable, FrameSize};

use crate::{BusError, BusErrorKind};

/// In bytes.
const SMALL: FrameSize = 16 * 1024;

/// What the headers of a message may have in a small frame. The rest is for what we add to a letter, of which the detail has at most 4 KiB, and
/// for its properties, each of which is short.
pub(super) const MAX_HEADER_BYTES: usize = 8 * 1024;

/// The frames that a connection agrees on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    Small,
    AsTheBroker,
}

impl Frames {
    /// As the handshake wants it.
    pub(super) fn max(self) -> Option<FrameSize> {
        match self {
            Self::Small => Some(SMALL),
            Self::AsTheBroker => None,
        }
    }
}

/// Refuses headers that a small frame has no room for.
pub(super) fn check(bytes: usize) -> Result<(), BusError> {
    if bytes > MAX_HEADER_BYTES {
        return Err(BusError::new(
            BusErrorKind::TooLarge,
            format!("{bytes} bytes of headers where {MAX_HEADER_BYTES} are allowed"),
        ));
    }
    Ok(())
}

/// What headers have, about.
pub(super) fn bytes(headers: &FieldTable) -> usize {
    headers.inner().iter().map(|(name, value)| name.as_str().len() + bytes_of(value)).sum()
}

fn bytes_of(value: &AMQPValue) -> usize {
    // The kind and the length, or the number.
    const FRAME: usize = 9;
    FRAME
        + match value {
            AMQPValue::LongString(text) => text.as_bytes().len(),
            AMQPValue::ShortString(text) => text.as_str().len(),
            AMQPValue::ByteArray(bytes) => bytes.as_slice().len(),
            AMQPValue::FieldArray(values) => values.as_slice().iter().map(bytes_of).sum(),
            AMQPValue::FieldTable(table) => bytes(table),
            _ => 0,
        }
}
