//! Several pieces as one write.

use bytes::{Bytes, BytesMut};

/// The most bytes joined into one write.
pub(super) const COALESCE: usize = 64 << 10;

/// Bytes to write at once; a single piece is shared, not copied.
#[derive(Default)]
pub(super) struct Joined {
    first: Option<Bytes>,
    all: BytesMut,
}

impl Joined {
    pub(super) fn push(&mut self, piece: Bytes) {
        match self.first.take() {
            None if self.all.is_empty() => self.first = Some(piece),
            None => self.all.extend_from_slice(&piece),
            Some(first) => {
                self.all.extend_from_slice(&first);
                self.all.extend_from_slice(&piece);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.as_ref().map_or(self.all.len(), Bytes::len)
    }

    pub(super) fn into_bytes(self) -> Option<Bytes> {
        self.first.or_else(|| (!self.all.is_empty()).then(|| self.all.freeze()))
    }
}
