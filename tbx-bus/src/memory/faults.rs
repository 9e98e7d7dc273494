//! Faults on demand, for tests: what a real broker does to you on a bad day.

use super::MemoryBus;

/// The fault switches of a [`MemoryBus`]; obtained by [`MemoryBus::faults`]. Random choices follow the seed of the bus.
#[derive(Debug, Clone)]
pub struct Faults(pub(super) MemoryBus);

/// What the switches are set to.
#[derive(Debug)]
pub(super) struct Switches {
    pub(super) confirms_to_lose: u32,
    pub(super) deliveries_to_duplicate: u32,
    pub(super) reorder_window: usize,
    pub(super) blocked: bool,
    pub(super) random: fastrand::Rng,
}

impl Switches {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            confirms_to_lose: 0,
            deliveries_to_duplicate: 0,
            reorder_window: 1,
            blocked: false,
            random: fastrand::Rng::with_seed(seed),
        }
    }
}

impl Faults {
    /// The next `count` messages are taken, but their publishers get [`ConfirmLost`](crate::BusErrorKind::ConfirmLost).
    pub fn lose_confirms(&self, count: u32) {
        self.0.with_switches(|switches| switches.confirms_to_lose = count);
    }

    /// The next `count` messages are put twice into each of their groups.
    pub fn duplicate(&self, count: u32) {
        self.0.with_switches(|switches| switches.deliveries_to_duplicate = count);
    }

    /// From now on a delivery is any of the first `window` waiting ones; 1 keeps the order.
    pub fn reorder_within(&self, window: usize) {
        self.0.with_switches(|switches| switches.reorder_window = window.max(1));
    }

    /// Publishing waits until [`unblock`](Self::unblock), or fails after the bus's block timeout.
    pub fn block(&self) {
        self.0.with_switches(|switches| switches.blocked = true);
    }

    /// Publishing goes on.
    pub fn unblock(&self) {
        self.0.with_switches(|switches| switches.blocked = false);
    }

    /// Cuts every connection once: deliveries under way return to their groups and can no longer be settled, consumers must subscribe
    /// again, and receipts that are not finished resolve as [`Disconnected`](crate::BusErrorKind::Disconnected). Messages stay.
    pub fn cut(&self) {
        self.0.cut();
    }
}
