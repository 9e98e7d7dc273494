//! Where a reader begins.

use crate::Position;
use crate::history::Bounds;

use super::reader::{Gap, GapReason};

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what comes from now on.
    Head,
    /// With the oldest entry kept.
    Oldest,
    /// After the position that a client brings back, as the client wrote it.
    After {
        /// Its text.
        position: String,
        /// Where to go on when the text says nothing about this history.
        otherwise: Fallback,
    },
}

/// Where to go on after a gap of unknown size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// With what comes from now on.
    #[default]
    Head,
    /// With the oldest entry kept.
    Oldest,
}

impl Start {
    /// The place to begin after, and what to tell of a position that cannot be found.
    pub(super) fn resolve(self, bounds: &Bounds, head: u64) -> (u64, Option<Gap>) {
        let (position, otherwise) = match self {
            Self::Head => return (head, None),
            Self::Oldest => return (bounds.tail().offset, None),
            Self::After { position, otherwise } => (position, otherwise),
        };
        if let Ok(known) = position.parse::<Position>()
            && known.epoch == bounds.epoch
            && known.offset <= bounds.newest
        {
            return (known.offset, None);
        }
        let offset = match otherwise {
            Fallback::Head => head,
            Fallback::Oldest => bounds.tail().offset,
        };
        let requested: String = position.chars().take(Position::MAX_BYTES).collect();
        let gap = Gap {
            reason: GapReason::Unknown,
            requested: Some(requested),
            oldest: bounds.tail(),
            newest: bounds.head(),
            resumes_after: Position::new(bounds.epoch, offset),
        };
        (offset, Some(gap))
    }
}
