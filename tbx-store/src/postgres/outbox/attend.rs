//! What goes on beside the relay: the lease is kept, and others are heard.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tbx_bus::Backoff;
use tokio_util::sync::CancellationToken;

use super::lease::GIVEN_BACK;
use super::{NOTIFICATIONS, PgOutbox};
use crate::postgres::{store_error, within};
use crate::{StoreError, StoreErrorKind};

/// How long to gather reasons before the others are told once.
const GATHER: Duration = Duration::from_millis(20);

/// How long a turn may take at least, however short the lease.
const LEAST: Duration = Duration::from_secs(2);

/// How long giving back may take; a lease that is not given back runs out.
const FAREWELL: Duration = Duration::from_secs(3);

impl PgOutbox {
    /// Keeps the lease and listens until `stop` is cancelled, then gives back what is held.
    pub(super) async fn keep_and_listen(&self, counted: &[&str], stop: CancellationToken) {
        self.hold().begin(counted);
        self.shared.leased.send_replace(false);
        tokio::join!(self.keep(&stop), self.listen(&stop));
        self.hold().end();
        let given_back = tokio::time::timeout(FAREWELL, self.give_back()).await;
        if !matches!(given_back, Ok(Ok(()))) {
            tracing::warn!("the lease of the outbox was not given back, others wait until it runs out");
        }
    }

    async fn keep(&self, stop: &CancellationToken) {
        let backoff = Backoff::standard();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let pause = match self.turn_in_time().await {
                Ok(()) => {
                    failures = 0;
                    // Also a sign of life to the own ears.
                    self.shared.others.notify_one();
                    self.pace()
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, cause = error.source_text(), "lease of the outbox not renewed");
                    backoff.delay(failures).min(self.pace())
                }
            };
            self.rest(pause, stop).await;
        }
    }

    /// A turn that may fail in time for another before the lease ends: a connection that hangs costs one turn, and the next has a fresh one.
    async fn turn_in_time(&self) -> Result<(), StoreError> {
        match tokio::time::timeout(self.pace().max(LEAST), Box::pin(self.turn())).await {
            Ok(turned) => turned,
            Err(_) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "renewing the lease, no answer in time"))
            }
        }
    }

    /// Waits for the next turn, and tells the others in between.
    async fn rest(&self, pause: Duration, stop: &CancellationToken) {
        let next = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(next) => return,
                () = self.shared.given_back.notified() => return,
                () = self.shared.others.notified() => {}
            }
            tokio::time::sleep(GATHER).await;
            if let Err(error) = self.tell_others().await {
                // They look by themselves now and then.
                tracing::debug!(%error, "other relays not told");
            }
        }
    }

    async fn listen(&self, stop: &CancellationToken) {
        let backoff = Backoff::standard();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = self.hear(&mut failures) => heard,
            };
            // A connection that was lost is not followed by the next at once, either: a proxy may take and close as many as are made.
            failures += 1;
            if let Err(error) = heard {
                tracing::debug!(%error, "not listening to other relays, looking now and then instead");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.delay(failures)) => {}
            }
        }
    }

    /// Listens on one connection until it is lost or has been silent for too long.
    async fn hear(&self, failures: &mut u32) -> Result<(), StoreError> {
        let failed = |error| store_error("listening to other relays", error);
        let mut listener = within("listening to other relays", async {
            let mut listener = PgListener::connect_with(&self.shared.ears).await.map_err(failed)?;
            // It would make the next by itself, at once.
            listener.eager_reconnect(false);
            listener.listen(NOTIFICATIONS).await.map_err(failed)?;
            Ok(listener)
        })
        .await?;
        // What was told meanwhile was not heard.
        self.wake();
        loop {
            // The own notifications come back, one each turn; a connection that brings not even those is dead.
            let told = tokio::time::timeout(self.lease * 2, listener.try_recv()).await;
            let Ok(told) = told else { return Ok(()) };
            let Some(notification) = told.map_err(failed)? else { return Ok(()) };
            // Only now it has proved to be good for anything.
            *failures = 0;
            match notification.payload() {
                GIVEN_BACK => self.shared.given_back.notify_one(),
                payload if payload == self.hold().holder().to_string() => {}
                _ => self.wake(),
            }
        }
    }
}
