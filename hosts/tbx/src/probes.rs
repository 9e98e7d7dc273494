//! Looking now and then whether database and history can be reached, for health checks.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tbx_notify::history::History;
use tbx_service::Check;
use tbx_store::sqlite::{Database, ping};
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;

use crate::exit::chain;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Looks after the database until `stop` is cancelled.
pub(crate) async fn database(database: Database, check: Check, stop: CancellationToken) {
    loop {
        report(&check, tokio::time::timeout(TIMEOUT, ping(database.readers())).await);
        if stopped_during_pause(&stop).await {
            return;
        }
    }
}

/// Looks after the history until `stop` is cancelled.
pub(crate) async fn history(history: Arc<dyn History>, check: Check, stop: CancellationToken) {
    loop {
        report(&check, tokio::time::timeout(TIMEOUT, history.check()).await);
        if stopped_during_pause(&stop).await {
            return;
        }
    }
}

fn report<E: Error>(check: &Check, answer: Result<Result<(), E>, Elapsed>) {
    match answer {
        Ok(Ok(())) => check.pass(),
        Ok(Err(error)) => check.fail(chain(&error)),
        Err(_) => check.fail("no answer in time"),
    }
}

async fn stopped_during_pause(stop: &CancellationToken) -> bool {
    tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok()
}
