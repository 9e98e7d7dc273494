//! Named checks and what they last said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// What a check says, with a reason unless all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Pass,
    /// Works, but somebody should look.
    Warn(String),
    /// Does not work.
    Fail(String),
}

impl Status {
    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn(_) => "warn",
            Self::Fail(_) => "fail",
        }
    }

    fn detail(&self) -> Option<&str> {
        match self {
            Self::Pass => None,
            Self::Warn(detail) | Self::Fail(detail) => Some(detail),
        }
    }

    fn level(&self) -> f64 {
        match self {
            Self::Pass => 1.0,
            Self::Warn(_) => 0.5,
            Self::Fail(_) => 0.0,
        }
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Warn(_) => 1,
            Self::Fail(_) => 2,
        }
    }
}

/// All checks of a process. Clones share them.
///
/// The process is ready while no check fails and [`drain`](Self::drain) has not been called.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    clock: fn() -> DateTime<Utc>,
    draining: AtomicBool,
    checks: Mutex<BTreeMap<String, Reading>>,
}

struct Reading {
    status: Status,
    since: DateTime<Utc>,
}

impl Health {
    /// Without checks: everything passes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Utc::now)
    }

    fn with_clock(clock: fn() -> DateTime<Utc>) -> Self {
        let shared = Shared { clock, draining: AtomicBool::new(false), checks: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a check, which fails with "starting" until it says otherwise. A name registered before gives a
    /// handle to the check that is there.
    #[must_use]
    pub fn register(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        let since = (self.shared.clock)();
        let starting = || Reading { status: Status::Fail("starting".to_owned()), since };
        self.shared.checks().entry(name.clone()).or_insert_with(starting);
        Check { health: self.clone(), name: name.into() }
    }

    /// Makes the process not ready for good, so that load balancers send nothing more: the first step of a
    /// shutdown.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.shared.draining.load(Ordering::Relaxed)
            && self.shared.checks().values().all(|reading| reading.status.severity() < 2)
    }

    /// Each check with what it last said as a number: 1 pass, 0.5 warn, 0 fail.
    pub(crate) fn levels(&self) -> Vec<(String, f64)> {
        let level = |(name, reading): (&String, &Reading)| (name.clone(), reading.status.level());
        self.shared.checks().iter().map(level).collect()
    }

    /// The document of `/health`, and whether its status is "fail".
    pub(super) fn report(&self) -> (String, bool) {
        let checks = self.shared.checks();
        let worst = checks.values().map(|reading| &reading.status).max_by_key(|status| status.severity());
        let report = Report {
            status: worst.map_or("pass", Status::word),
            checks: checks.iter().map(|(name, reading)| (name.as_str(), reading.into())).collect(),
        };
        let failed = report.status == "fail";
        // Strings always serialise; the text is for the reader who doubts it.
        let text = serde_json::to_string(&report).unwrap_or_else(|_| r#"{"status":"fail"}"#.to_owned());
        (text, failed)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Held for a look-up only, never across an await. A panic while it was held leaves a map that is whole.
    fn checks(&self) -> MutexGuard<'_, BTreeMap<String, Reading>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle of whoever knows how one part is. Clones speak for the same check.
#[derive(Clone)]
pub struct Check {
    health: Health,
    name: Arc<str>,
}

impl Check {
    /// All is well.
    pub fn pass(&self) {
        self.set(Status::Pass);
    }

    /// Works, but somebody should look.
    pub fn warn(&self, detail: impl Into<String>) {
        self.set(Status::Warn(detail.into()));
    }

    /// Does not work: the process is not ready.
    pub fn fail(&self, detail: impl Into<String>) {
        self.set(Status::Fail(detail.into()));
    }

    /// Says what `status` says. `since` moves, and a line is logged, when the word changes and not when only
    /// the detail does.
    pub fn set(&self, status: Status) {
        let now = (self.health.shared.clock)();
        let mut checks = self.health.shared.checks();
        let Some(reading) = checks.get_mut(&*self.name) else { return };
        let changed = reading.status.word() != status.word();
        if changed {
            reading.since = now;
        }
        reading.status = status.clone();
        drop(checks);
        // A part that ends because the process does is no news.
        if changed && !self.health.shared.draining.load(Ordering::Relaxed) {
            log(&self.name, &status);
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

fn log(check: &str, status: &Status) {
    match status {
        Status::Pass => tracing::info!(check, "health check passes"),
        Status::Warn(detail) => tracing::warn!(check, detail, "health check warns"),
        Status::Fail(detail) => tracing::warn!(check, detail, "health check fails"),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    checks: BTreeMap<&'a str, ReportedCheck<'a>>,
}

#[derive(Serialize)]
struct ReportedCheck<'a> {
    status: &'static str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> From<&'a Reading> for ReportedCheck<'a> {
    fn from(reading: &'a Reading) -> Self {
        Self {
            status: reading.status.word(),
            since: reading.since.to_rfc3339_opts(SecondsFormat::Millis, true),
            detail: reading.status.detail(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    /// A clock that moves a millisecond at every look.
    fn ticking() -> DateTime<Utc> {
        static NOW: AtomicI64 = AtomicI64::new(0);
        DateTime::from_timestamp_millis(NOW.fetch_add(1, Ordering::Relaxed)).unwrap()
    }

    fn since(health: &Health) -> String {
        let report: serde_json::Value = serde_json::from_str(&health.report().0).unwrap();
        report["checks"]["database"]["since"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_check_fails_until_it_has_spoken() {
        let health = Health::with_clock(|| DateTime::UNIX_EPOCH);
        let check = health.register("database");
        let starting = concat!(
            r#"{"status":"fail","checks":{"database":"#,
            r#"{"status":"fail","since":"1970-01-01T00:00:00.000Z","detail":"starting"}}}"#
        );
        assert_eq!(health.report(), (starting.to_owned(), true));
        assert!(!health.is_ready());
        check.pass();
        assert!(health.is_ready());
        check.warn("slow");
        assert!(health.is_ready() && !health.report().1);
        health.drain();
        assert!(!health.is_ready() && !health.report().1);
    }

    #[test]
    fn since_is_when_the_word_changed() {
        let health = Health::with_clock(ticking);
        let check = health.register("database");
        check.warn("one");
        let first = since(&health);
        check.warn("two");
        assert_eq!(since(&health), first);
        check.pass();
        assert_ne!(since(&health), first);
    }

    #[test]
    fn a_name_names_one_check() {
        let health = Health::new();
        health.register("bus").pass();
        let again = health.register("bus");
        assert!(health.is_ready(), "registering anew does not forget");
        again.fail("gone");
        assert!(!health.is_ready());
    }
}
