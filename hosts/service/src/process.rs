//! A process from its start to its end.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinHandle};

use crate::{Failure, Health, ShutdownSignal, Stops, Tasks};

/// What every host process has: signals, health, tasks, and the order of ending.
#[derive(Debug)]
pub struct Process {
    /// How it is.
    pub health: Health,
    /// What it does.
    pub tasks: Tasks,
    /// How its parts end.
    pub stops: Stops,
    signal: JoinHandle<io::Result<ShutdownSignal>>,
}

/// Why a process ended with a failure.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The system refuses signal handlers.
    #[error("signals cannot be caught")]
    Signals(#[source] io::Error),
    /// A task panicked.
    #[error("a task failed; the log says which and why")]
    Task,
    /// Tasks went on past their time.
    #[error("did not end in time: {0}")]
    Late(String),
}

impl Process {
    /// Begins: signals are caught from now on. Call it before anything that takes a while.
    #[must_use]
    pub fn begin() -> Self {
        let health = Health::new();
        let tasks = Tasks::new().reporting_to(health.register("tasks"));
        Self { health, tasks, stops: Stops::default(), signal: tokio::spawn(ShutdownSignal::listen()) }
    }

    /// Opens what the process works with. A signal to end that comes first is acted on at once: what was begun is dropped, and there is nothing.
    ///
    /// # Errors
    ///
    /// Those of `opening`, or when signals cannot be caught.
    ///
    /// # Cancel safety
    ///
    /// That of `opening`.
    pub async fn unless_asked_to_end<T>(
        &mut self,
        opening: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Option<T>, Failure> {
        tokio::select! {
            signal = &mut self.signal => match caught(signal) {
                Ok(_) => Ok(None),
                Err(error) => Err(Failure::failed(&error)),
            },
            opened = opening => opened.map(Some),
        }
    }

    /// Waits for the signal to end, or for the failure of a task. Whoever gets the signal holds it until the process has ended, so that a second one
    /// ends it at once.
    ///
    /// # Errors
    ///
    /// When a task failed, or signals cannot be caught.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn asked_to_end(&mut self) -> Result<ShutdownSignal, ProcessError> {
        let failed = self.tasks.failed();
        let outcome = tokio::select! {
            signal = &mut self.signal => caught(signal),
            () = failed.cancelled() => Err(ProcessError::Task),
        };
        self.health.drain();
        match &outcome {
            Ok(_) => self.stops.begin(),
            Err(_) => self.stops.all(),
        }
        outcome
    }

    /// Waits until every task has ended.
    ///
    /// # Errors
    ///
    /// Names the tasks that had not after `deadline`; they are aborted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves them running.
    pub async fn tasks_ended(&self, deadline: Duration) -> Result<(), ProcessError> {
        let late = self.tasks.wait(deadline).await;
        if late.is_empty() { Ok(()) } else { Err(ProcessError::Late(late.join(", "))) }
    }
}

fn caught(signal: Result<io::Result<ShutdownSignal>, JoinError>) -> Result<ShutdownSignal, ProcessError> {
    match signal {
        Ok(signal) => signal.map_err(ProcessError::Signals),
        Err(error) => Err(ProcessError::Signals(io::Error::other(error))),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal.abort();
    }
}
