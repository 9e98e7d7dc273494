//! Looking now and then whether something can be reached.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Check;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Calls `look` every 5 s until `stop` is cancelled and keeps `check` at what it says. No answer within 2 s is a failure.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn probe<F>(check: Check, stop: CancellationToken, look: impl Fn() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    loop {
        match tokio::time::timeout(TIMEOUT, look()).await {
            Ok(Ok(())) => check.pass(),
            Ok(Err(why)) => check.fail(why),
            Err(_) => check.fail("no answer in time"),
        }
        if tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}
