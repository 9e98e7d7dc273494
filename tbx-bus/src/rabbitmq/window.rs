//! The messages that were sent and are not confirmed yet.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use lapin::Confirmation;

type Confirming = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

/// Sent messages, each with a `T`, and the futures of their confirmations.
///
/// It differs from a `FuturesUnordered` in one promise, which [`verdict`](super::verdict) is built on: [`settled`](Self::settled) gives, with
/// any confirmation, every other one that lapin had resolved before it. Lapin resolves them one after the other in a thread, and each wakes its
/// slot before the next is resolved. So whoever sees one, and then polls woken slots until none is left, has seen all that came before. A
/// `FuturesUnordered` may pause in between.
#[derive(Debug)]
pub(super) struct Window<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    woken: Arc<Woken>,
}

struct Slot<T> {
    sent: Option<(T, Confirming)>,
    waker: Waker,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sent.as_ref().map(|(entry, _)| entry).fmt(f)
    }
}

#[derive(Debug, Default)]
struct Woken {
    /// Held to push an index or to take them all.
    slots: Mutex<Vec<usize>>,
    task: AtomicWaker,
}

struct SlotWaker {
    index: usize,
    woken: Arc<Woken>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.slots.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
        self.woken.task.wake();
    }
}

impl<T> Window<T> {
    pub(super) fn new(size: usize) -> Self {
        let woken = Arc::new(Woken::default());
        let slots = (0..size)
            .map(|index| Slot {
                sent: None,
                waker: Arc::new(SlotWaker { index, woken: Arc::clone(&woken) }).into(),
            })
            .collect();
        Self { slots, free: (0..size).rev().collect(), woken }
    }

    /// How many more may be sent.
    pub(super) fn room(&self) -> usize {
        self.free.len()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one more and polls it once, which is what hands the message to lapin: messages are sent in the order of this call.
    ///
    /// Gives it back when there is no room.
    pub(super) fn send(&mut self, entry: T, confirming: Confirming) -> Result<usize, T> {
        let Some(index) = self.free.pop() else { return Err(entry) };
        let slot = &mut self.slots[index];
        slot.sent = Some((entry, confirming));
        // Polled by `settled`, in its turn, if it should be ready at once.
        let waker = slot.waker.clone();
        if let Some((_, confirming)) = &mut slot.sent
            && let Poll::Ready(outcome) = confirming.as_mut().poll(&mut Context::from_waker(&waker))
        {
            *confirming = Box::pin(std::future::ready(outcome));
            waker.wake();
        }
        Ok(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.slots.get_mut(index)?.sent.as_mut().map(|(entry, _)| entry)
    }

    /// Waits until at least one is settled, and gives all that are.
    pub(super) fn poll_settled(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Vec<(T, lapin::Result<Confirmation>)>> {
        self.woken.task.register(cx.waker());
        let mut settled = Vec::new();
        loop {
            let woken = std::mem::take(&mut *self.woken.slots.lock().unwrap_or_else(PoisonError::into_inner));
            if woken.is_empty() {
                break;
            }
            for index in woken {
                let slot = &mut self.slots[index];
                let Some((_, confirming)) = &mut slot.sent else { continue };
                let Poll::Ready(outcome) = confirming.as_mut().poll(&mut Context::from_waker(&slot.waker))
                else {
                    continue;
                };
                if let Some((entry, _)) = slot.sent.take() {
                    self.free.push(index);
                    settled.push((entry, outcome));
                }
            }
        }
        if settled.is_empty() { Poll::Pending } else { Poll::Ready(settled) }
    }

    /// Takes everything out; nobody learns what became of it.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        self.free = (0..self.slots.len()).rev().collect();
        self.slots.iter_mut().filter_map(|slot| slot.sent.take()).map(|(entry, _)| entry).collect()
    }
}
