//! Letters on their way to the sink.

use std::sync::Arc;
use std::time::Duration;

use super::MemoryBus;
use super::group::Doomed;
use super::publication::Publication;
use crate::DeadLetter;

/// How long a letter or its message rests when the sink did not take it.
pub(super) const SINK_PAUSE: Duration = Duration::from_secs(1);

/// One letter that is being stored. Nobody else stores it meanwhile; given up half way, it waits in its group again.
#[derive(Debug)]
struct Burial {
    bus: MemoryBus,
    group: Arc<str>,
    doomed: Doomed,
    /// How long it rests before the next try; `None` when it is stored.
    again: Option<Duration>,
}

impl Drop for Burial {
    fn drop(&mut self) {
        if let Some(pause) = self.again {
            if let Some(queue) = self.bus.lock().groups.get_mut(&self.group) {
                queue.bury_again(self.doomed.id, pause);
            }
            self.bus.changed();
        }
    }
}

impl MemoryBus {
    /// Stores a letter that a group gave out for it.
    pub(super) async fn bury(&self, group: &Arc<str>, doomed: Doomed) {
        let mut burial =
            Burial { bus: self.clone(), group: Arc::clone(group), doomed, again: Some(Duration::ZERO) };
        if let Err(error) = self.sink().bury(burial.doomed.letter.clone()).await {
            tracing::warn!(error, message_id = %burial.doomed.letter.message.id(), "dead letter not stored yet");
            burial.again = Some(SINK_PAUSE);
            return;
        }
        burial.again = None;
        let still_counted =
            self.lock().groups.get_mut(group).and_then(|queue| queue.buried(burial.doomed.id));
        if let Some(publication) = still_counted {
            self.count_settled(&publication);
        }
        self.changed();
    }

    /// Stores every letter of a group that can be stored now.
    pub(super) async fn bury_all(&self, group: &Arc<str>) {
        loop {
            let doomed = self
                .lock()
                .groups
                .get_mut(group)
                .and_then(|queue| queue.take_doomed(tokio::time::Instant::now()));
            let Some(doomed) = doomed else { return };
            self.bury(group, doomed).await;
        }
    }

    /// Counts one copy as settled. Returns the groups where letters wait for the sink now, because the receipt was dropped after it had
    /// taken them.
    pub(super) fn count_settled(&self, publication: &Publication) -> Vec<Arc<str>> {
        let left_over = publication.settled();
        let groups = left_over.iter().map(|letter| Arc::clone(&letter.group)).collect();
        self.doom(left_over);
        groups
    }

    /// Lets letters wait for the sink whose receipt was dropped and whose copies are settled.
    pub(super) fn doom(&self, letters: Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        let mut state = self.lock();
        for letter in letters {
            if let Some(queue) = state.groups.get_mut(&letter.group) {
                queue.doom(letter, None);
            }
        }
        drop(state);
        self.changed();
    }
}
