//! One published message on its way through its groups.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::publisher::ReceiptSender;
use crate::{BusErrorKind, DeadLetter};

/// Counts the copies that are not settled yet and answers the receipt after the last.
#[derive(Debug)]
pub(super) struct Publication(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    unsettled: usize,
    dead_letters: Vec<DeadLetter>,
    receipt: Option<ReceiptSender>,
}

impl Publication {
    /// `copies` is how many settlements it takes.
    pub(super) fn new(copies: usize, receipt: Option<ReceiptSender>) -> Self {
        Self(Mutex::new(Progress { unsettled: copies, dead_letters: Vec::new(), receipt }))
    }

    /// Gives a dead letter to whoever holds the receipt, or back when nobody does. The copy still counts.
    pub(super) fn attach(&self, letter: DeadLetter) -> Result<(), DeadLetter> {
        let mut progress = self.lock();
        if progress.receipt.as_ref().is_some_and(ReceiptSender::is_held) {
            progress.dead_letters.push(letter);
            Ok(())
        } else {
            Err(letter)
        }
    }

    /// One copy is settled. Returns the letters that are left over because the receipt was dropped after they were attached.
    ///
    /// Answers the receipt, so it is called without the lock of the bus: a receipt that is dropped at once takes that lock.
    pub(super) fn settled(&self) -> Vec<DeadLetter> {
        let mut progress = self.lock();
        progress.unsettled = progress.unsettled.saturating_sub(1);
        if progress.unsettled > 0 {
            return Vec::new();
        }
        let letters = std::mem::take(&mut progress.dead_letters);
        match progress.receipt.take() {
            Some(receipt) => receipt.finish(letters).err().unwrap_or_default(),
            None => letters,
        }
    }

    /// The connection is lost: whoever waits learns that the outcome is unknown.
    pub(super) fn disconnect(&self) {
        if let Some(receipt) = self.lock().receipt.take() {
            receipt.fail(BusErrorKind::Disconnected, "cut before the message was finished");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
