//! The line to Redis, and whether it is worth a try.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::CacheError;

/// How long nobody asks after a failure, but one who tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nothing is read after an outage, beside two calls: others who could not write need one to notice, and one to make up for it.
const CONVALESCENCE: Duration = Duration::from_millis(2_500);

/// Who wants to call enters, and tells afterwards whether there was an answer.
pub(super) struct Line {
    client: Client,
    place: String,
    /// How long one call may take in all.
    timeout: Duration,
    /// Locked for the length of a look or a note, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    manager: Option<ConnectionManager>,
    /// Since when calls fail, and until when nobody asks.
    failing: Option<Failing>,
    /// When the last outage ended.
    back: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    until: Instant,
}

impl Line {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        let place = client.get_connection_info().addr().to_string();
        Self { client, place, timeout, state: Mutex::default() }
    }

    /// Host and port.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// How long one call may take in all.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the last call was answered; true before the first.
    pub(super) fn is_available(&self) -> bool {
        self.state().failing.is_none()
    }

    /// Whether an outage ended so lately that nothing is to be read yet.
    pub(super) fn is_convalescent(&self) -> bool {
        self.state().back.is_some_and(|back| back.elapsed() < CONVALESCENCE + self.timeout * 2)
    }

    /// A connection to ask, unless that failed a moment ago.
    pub(super) fn enter(&self) -> Result<ConnectionManager, CacheError> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(failing) = &mut state.failing {
            if now < failing.until {
                return Err(CacheError("it did not answer a moment ago".into()));
            }
            // Whoever comes next finds that somebody tries already.
            failing.until = now + PAUSE;
        }
        if let Some(manager) = &state.manager {
            return Ok(manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            // Whoever comes next after the pause tries again; repetitions in here would only hide why it failed.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(self.timeout.max(PAUSE)))
            .set_response_timeout(Some(self.timeout));
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config)
            .map_err(|error| CacheError(error.into()))?;
        state.manager = Some(manager.clone());
        Ok(manager)
    }

    /// A call was answered.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        let Some(failing) = state.failing.take() else { return };
        state.back = Some(Instant::now());
        drop(state);
        let away_ms = failing.since.elapsed().as_millis() as u64;
        tracing::info!(cache = %self.place, away_ms, "cache answers again");
    }

    /// A call was not answered; what to tell its caller.
    pub(super) fn failed(&self, error: Box<dyn std::error::Error + Send + Sync>) -> CacheError {
        let now = Instant::now();
        let mut state = self.state();
        let since = state.failing.map_or(now, |failing| failing.since);
        state.failing = Some(Failing { since, until: now + PAUSE });
        // A connection that hangs is not asked again.
        state.manager = None;
        drop(state);
        if since == now {
            tracing::warn!(cache = %self.place, error = %error, "cache does not answer, going on without it");
        }
        CacheError(error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
