//! A state machine's channel as a check.

use tokio::sync::watch;

use super::{Check, Status};

/// Keeps `check` at what the state on the channel means, until the sender is gone: then nobody looks after the
/// part any more, and the check fails. To be run by an owner, for instance as one of [`Tasks`](crate::Tasks).
///
/// # Cancel safety
///
/// May be dropped at any time; the check stays at what it said last.
pub async fn watch_state<T>(check: Check, mut states: watch::Receiver<T>, status: fn(&T) -> Status) {
    loop {
        let current = status(&states.borrow_and_update());
        check.set(current);
        if states.changed().await.is_err() {
            break;
        }
    }
    check.fail("its supervisor has ended");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Health;

    #[tokio::test]
    async fn the_check_follows_the_state_and_notices_the_end() {
        let health = Health::new();
        let (states, seen) = watch::channel("connecting");
        let status = |state: &&'static str| match *state {
            "connected" => Status::Pass,
            other => Status::Warn(other.to_owned()),
        };
        let mut watching = Box::pin(watch_state(health.register("bus"), seen, status));
        assert!(futures_util::poll!(&mut watching).is_pending());
        assert!(health.report().0.contains("connecting"));
        states.send_replace("connected");
        assert!(futures_util::poll!(&mut watching).is_pending());
        assert!(health.report().0.starts_with(r#"{"status":"pass""#));
        drop(states);
        watching.await;
        assert!(health.report().0.contains("its supervisor has ended"));
    }
}
