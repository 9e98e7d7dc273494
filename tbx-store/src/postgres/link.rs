//! One connection, kept, with deadlines on the client's side.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::Mutex;

use super::store_error;
use crate::{StoreError, StoreErrorKind};

/// How long an operation may take in all. The server gives up sooner; this is for a network that says nothing.
const DEADLINE: Duration = Duration::from_secs(15);

/// What comes of `operation`, or an error when it takes too long. `context` says what was being done.
pub(crate) async fn within<T>(
    context: &'static str,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    // Boxed: what a statement needs is large, and every caller would carry it.
    match tokio::time::timeout(DEADLINE, Box::pin(operation)).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::new(
            StoreErrorKind::Unavailable,
            format!("{context}, no answer within {} s", DEADLINE.as_secs()),
        )),
    }
}

/// A connection outside of any pool. Whoever uses it takes it out and gives it back when all went well; after a failure, or when the future is
/// dropped, it is closed, and the next user gets a fresh one. So a connection that hangs is never waited for twice.
#[derive(Debug)]
pub(super) struct Link {
    options: PgConnectOptions,
    /// Held for the length of a take or a give.
    kept: Mutex<Option<PgConnection>>,
}

impl Link {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, kept: Mutex::new(None) }
    }

    pub(super) async fn take(&self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.kept.lock().await.take() {
            return Ok(connection);
        }
        within("connecting", async {
            self.options.connect().await.map_err(|error| store_error("connecting", error))
        })
        .await
    }

    pub(super) async fn give_back(&self, connection: PgConnection) {
        *self.kept.lock().await = Some(connection);
    }
}
