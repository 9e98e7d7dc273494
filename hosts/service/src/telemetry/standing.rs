//! Whether exporting works, told when that changes and not for every failure.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::Response;
use opentelemetry_http::HttpError;

use super::settings::Signal;
use crate::{Check, Status};

/// What an answer says about an export.
pub(super) fn outcome(answer: &Result<Response<Bytes>, HttpError>) -> Result<(), String> {
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("answered with {}", answer.status())),
        Err(error) => Err(crate::chain(error.as_ref())),
    }
}

/// How each signal fares.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Why the last export failed, for each signal whose did. Held for a look-up only.
    failing: Mutex<BTreeMap<Signal, String>>,
    check: OnceLock<Check>,
}

impl Standing {
    /// Shows it in `check` from now on: never worse than a warning, because the service needs nobody who watches it.
    pub(super) fn report_to(&self, check: Check) {
        check.set(self.status());
        let _ = self.check.set(check);
    }

    /// An export succeeded, or failed for a reason.
    pub(super) fn note(&self, signal: Signal, outcome: Result<(), String>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => failing.remove(&signal),
            Err(reason) => failing.insert(signal, reason),
        };
        drop(failing);
        // It logs a line when the word changes. Before there is a check nobody needs to know; the check begins with what is known by then.
        if let Some(check) = self.check.get() {
            check.set(self.status());
        }
    }

    fn status(&self) -> Status {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.is_empty() {
            return Status::Pass;
        }
        let each: Vec<String> = failing
            .iter()
            .map(|(signal, reason)| format!("{} not exported: {reason}", signal.word()))
            .collect();
        Status::Warn(each.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Health;

    #[test]
    fn a_failure_warns_until_each_signal_gets_through_again() {
        let (health, standing) = (Health::new(), Standing::default());
        standing.note(Signal::Logs, Err("connection refused".to_owned()));
        standing.report_to(health.register("telemetry"));
        let level = || health.levels()[0].1;
        assert_eq!(level(), 0.5);
        assert!(health.is_ready(), "a collector that is gone is no reason to send no requests");
        standing.note(Signal::Traces, Err("503".to_owned()));
        standing.note(Signal::Logs, Ok(()));
        assert_eq!(level(), 0.5);
        standing.note(Signal::Traces, Ok(()));
        assert_eq!(level(), 1.0);
    }
}
