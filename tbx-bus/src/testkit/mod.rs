//! Waiting until nothing is queued, due or running, instead of sleeping.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use crate::MemoryBus;
use crate::time::from_now;

/// How much work something still has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Grows with every change, so that work passing between two looks is noticed.
    pub version: u64,
    /// Waiting to be taken.
    pub queued: usize,
    /// Resting until a retry is due.
    pub due: usize,
    /// Being handled.
    pub running: usize,
}

impl Activity {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queued == 0 && self.due == 0 && self.running == 0
    }
}

/// Something whose work can be waited for. A [`MemoryBus`] counts what its groups have; broadcasts do not count, since nothing waits for
/// them.
#[async_trait]
pub trait Observed: Send + Sync {
    /// How much work there is now.
    async fn activity(&self) -> Activity;

    /// Waits until the version differs from `seen`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn changed_since(&self, seen: u64);
}

#[async_trait]
impl Observed for MemoryBus {
    async fn activity(&self) -> Activity {
        self.activity_now()
    }

    async fn changed_since(&self, seen: u64) {
        let mut versions = self.versions();
        // The sender lives in the bus that we borrow.
        let _ = versions.wait_for(|version| *version != seen).await;
    }
}

/// Waits until all of `observed` are quiet at once, or tells who is still busy after `deadline`.
///
/// # Errors
///
/// When the deadline passes first.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn wait_until_quiet(observed: &[&dyn Observed], deadline: Duration) -> Result<(), StillBusy> {
    let deadline = from_now(deadline);
    loop {
        let before = look(observed).await;
        let after = look(observed).await;
        // Two equal looks: no work moved from one to another behind our back.
        if before == after && after.iter().all(Activity::is_quiet) {
            return Ok(());
        }
        // Looked at in every round: work that goes round for ever changes before any wait could time out.
        if tokio::time::Instant::now() >= deadline {
            return Err(StillBusy(after));
        }
        if before == after {
            let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> =
                observed.iter().zip(&after).map(|(one, seen)| one.changed_since(seen.version)).collect();
            let any = std::future::poll_fn(|cx| {
                if changes.iter_mut().any(|change| change.as_mut().poll(cx).is_ready()) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            if tokio::time::timeout_at(deadline, any).await.is_err() {
                return Err(StillBusy(after));
            }
        } else {
            tokio::task::yield_now().await;
        }
    }
}

async fn look(observed: &[&dyn Observed]) -> Vec<Activity> {
    let mut activities = Vec::with_capacity(observed.len());
    for one in observed {
        activities.push(one.activity().await);
    }
    activities
}

/// The deadline passed with work left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillBusy(Vec<Activity>);

impl StillBusy {
    /// What each of the observed had left, in the order given.
    #[must_use]
    pub fn activities(&self) -> &[Activity] {
        &self.0
    }
}

impl fmt::Display for StillBusy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("still busy at the deadline:")?;
        for (index, activity) in self.0.iter().enumerate().filter(|(_, activity)| !activity.is_quiet()) {
            let Activity { version: _, queued, due, running } = activity;
            write!(f, " number {} ({queued} queued, {due} due, {running} running)", index + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for StillBusy {}
