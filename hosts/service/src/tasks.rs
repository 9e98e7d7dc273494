//! Background work with an owner.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::Check;
use crate::problem::panic_text;

/// Owns named tasks: knows which run, notices a panic, waits for their end, and cuts off what does not end.
///
/// Tasks are told to stop by whatever they were given for it, usually a `CancellationToken`. A task that
/// panics is logged, makes the check given with [`reporting_to`](Self::reporting_to) fail for good, and cancels
/// [`failed`](Self::failed), which the host watches beside the signals. Dropping the owner aborts every task.
#[derive(Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    running: Arc<Running>,
    failed: CancellationToken,
    cut: CancellationToken,
    check: Option<Check>,
    _cut_when_dropped: DropGuard,
}

impl Tasks {
    /// An owner of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let cut = CancellationToken::new();
        Self {
            tracker: TaskTracker::new(),
            running: Arc::default(),
            failed: CancellationToken::new(),
            check: None,
            _cut_when_dropped: cut.clone().drop_guard(),
            cut,
        }
    }

    /// Lets `check` pass until a task panics.
    #[must_use]
    pub fn reporting_to(mut self, check: Check) -> Self {
        check.pass();
        self.check = Some(check);
        self
    }

    /// Cancelled when a task has panicked.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// Starts a task. Names are for people and need not be unique.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let entry = self.running.enter(name.into());
        let (failed, cut, check) = (self.failed.clone(), self.cut.clone(), self.check.clone());
        self.tracker.spawn(async move {
            let outcome = cut.run_until_cancelled_owned(AssertUnwindSafe(future).catch_unwind()).await;
            let name = entry.name();
            match outcome {
                Some(Ok(())) => tracing::debug!(task = name, "task ended"),
                None => tracing::warn!(task = name, "task was cut off"),
                Some(Err(panic)) => {
                    tracing::error!(task = name, panic = panic_text(&*panic), "task panicked");
                    if let Some(check) = check {
                        check.fail(format!("task {name} panicked"));
                    }
                    failed.cancel();
                }
            }
        });
    }

    /// The names of the tasks that run, in the order of their start.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.running.names().values().cloned().collect()
    }

    /// Waits until every task has ended, at most as long as given. Gives back the names of those that had not;
    /// they are aborted.
    pub async fn wait(&self, deadline: Duration) -> Vec<String> {
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let late = self.running();
        if !late.is_empty() {
            tracing::warn!(tasks = late.join(", "), "tasks did not end in time");
        }
        self.cut.cancel();
        late
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of the running tasks, by order of start.
#[derive(Debug, Default)]
struct Running {
    next: AtomicU64,
    names: Mutex<BTreeMap<u64, String>>,
}

impl Running {
    fn enter(self: &Arc<Self>, name: String) -> Entry {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.names().insert(id, name);
        Entry { id, running: Arc::clone(self) }
    }

    /// Held for a look-up only, never across an await.
    fn names(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the name from the list when the task is gone, however it went.
struct Entry {
    id: u64,
    running: Arc<Running>,
}

impl Entry {
    fn name(&self) -> String {
        self.running.names().get(&self.id).cloned().unwrap_or_default()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.names().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;
    use crate::Health;

    #[tokio::test(start_paused = true)]
    async fn the_late_ones_are_named_and_aborted() {
        let tasks = Tasks::new();
        let (alive, aborted) = oneshot::channel::<()>();
        tasks.spawn("relay", async {});
        tasks.spawn("sweeper", async move {
            pending::<()>().await;
            drop(alive);
        });
        assert_eq!(tasks.running(), ["relay", "sweeper"]);
        assert_eq!(tasks.wait(Duration::from_secs(5)).await, ["sweeper"]);
        aborted.await.unwrap_err();
        assert!(tasks.wait(Duration::from_secs(5)).await.is_empty());
        assert!(!tasks.failed().is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_is_noticed_and_the_others_go_on() {
        let health = Health::new();
        let tasks = Tasks::new().reporting_to(health.register("tasks"));
        assert!(health.is_ready());
        tasks.spawn("other", pending());
        tasks.spawn("doomed", async { panic!("on purpose") });
        tasks.failed().cancelled().await;
        assert!(!health.is_ready());
        assert_eq!(tasks.running().first().map(String::as_str), Some("other"));
    }

    #[tokio::test]
    async fn dropping_the_owner_aborts() {
        let tasks = Tasks::new();
        let (alive, aborted) = oneshot::channel::<()>();
        tasks.spawn("orphan", async move {
            pending::<()>().await;
            drop(alive);
        });
        drop(tasks);
        aborted.await.unwrap_err();
    }
}
