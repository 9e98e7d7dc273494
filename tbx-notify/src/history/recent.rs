//! The latest entries, in memory, so that what is new need not be read back from where it is stored.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Entry;

const MAX_ENTRIES: usize = 1_024;
const MAX_BYTES: usize = 4 << 20;

/// The entries from some offset to the newest, without holes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Recent {
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.size();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || (self.bytes > MAX_BYTES && self.entries.len() > 1) {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.size();
            }
        }
    }

    /// Up to `limit` entries after `after`; `None` when some of them are no longer here.
    pub(super) fn after(&self, after: u64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let first = self.entries.front()?.offset();
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(self.entries.iter().skip(skip).take(limit).cloned().collect())
    }

    /// The entry at `offset`, when it is here.
    #[cfg(feature = "redis")]
    pub(super) fn get(&self, offset: u64) -> Option<&Arc<Entry>> {
        let first = self.entries.front()?.offset();
        self.entries.get(usize::try_from(offset.checked_sub(first)?).ok()?)
    }
}
