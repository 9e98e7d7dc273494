//! Waiting for servers that are started beside this process.

use std::error::Error;
use std::time::Duration;

use tbx_bus::Backoff;
use tbx_service::chain;
use tokio::time::Instant;

use crate::OpenError;

/// How long a start waits for a server. Whoever looks after the process starts it again.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether a repetition may succeed without anybody's doing.
pub(crate) trait Opening: Error + Send + Sync + 'static {
    fn may_pass(&self) -> bool;
}

/// Opens what `setting` names, again and again with growing pauses, until it opens, until the error is one that only a person can mend, or until the
/// patience ends.
pub(crate) async fn patiently<T, E, F>(setting: &'static str, open: impl Fn() -> F) -> Result<T, OpenError>
where
    E: Opening,
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + PATIENCE;
    let backoff = Backoff::between(Duration::from_millis(200), Duration::from_secs(2));
    let mut failures = 0;
    loop {
        let error = match open().await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        failures += 1;
        let delay = backoff.delay(failures);
        if !error.may_pass() || Instant::now() + delay > deadline {
            return Err(OpenError::of(setting)(Box::new(error)));
        }
        tracing::warn!(setting, error = chain(&error), delay_ms = delay.as_millis() as u64, "not there yet");
        tokio::time::sleep(delay).await;
    }
}
