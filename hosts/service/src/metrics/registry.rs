//! All numbers of a process.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::with_local_recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use poem::endpoint::make;
use poem::{Response, Route, get};
use tokio_util::sync::CancellationToken;

use super::exposition::{Kind, write_by_label, write_value};
use super::layer::describe;
use super::process::write_process;
use crate::{Health, telemetry};

/// Those of the OpenTelemetry conventions for HTTP, in seconds.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Durations are held one by one until they are counted into the buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A sampler that takes longer is left out of that answer.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A number as it is now.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Sample {
    name: &'static str,
    help: &'static str,
    value: f64,
    kind: Kind,
    /// Which one of its family: a label and its text.
    which: Option<(&'static str, String)>,
}

impl Sample {
    /// A number under the name of its family, in snake case with the unit; `help` says in one line what it is.
    pub const fn new(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value, kind: Kind::Gauge, which: None }
    }

    /// A number of things.
    pub const fn count(name: &'static str, help: &'static str, count: u64) -> Self {
        Self::new(name, help, count as f64)
    }

    /// How many there were since the process began; `name` ends with `_total`.
    pub const fn total(name: &'static str, help: &'static str, count: u64) -> Self {
        Self { name, help, value: count as f64, kind: Kind::Counter, which: None }
    }

    /// Tells it apart from others of its family, which all have this label and come together.
    pub fn of(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.which = Some((label, text.into()));
        self
    }
}

type Sampler = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Sample>> + Send>> + Send + Sync>;

/// All numbers of a process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    health: Health,
    /// Held to copy the list, never across an await.
    samplers: Mutex<Vec<Sampler>>,
}

impl Metrics {
    /// Nothing counted yet; shows the checks of `health`.
    #[must_use]
    pub fn new(health: Health) -> Self {
        // Only an empty list of buckets is refused.
        let builder =
            PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let metrics =
            Self { shared: Arc::new(Shared { recorder, handle, health, samplers: Mutex::default() }) };
        metrics.record(describe);
        metrics
    }

    /// Has `look` called for every answer of `/metrics`. What it cannot tell now it leaves out; what it does not tell within 2 s is left out for it.
    pub fn sample<F>(&self, look: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Vec<Sample>> + Send + 'static,
    {
        let sampler: Sampler = Arc::new(move || Box::pin(look()));
        self.shared.samplers.lock().unwrap_or_else(PoisonError::into_inner).push(sampler);
    }

    /// Counts what was measured into its buckets every 5 s, until `stop` is cancelled. Without it the measured durations of a process that nobody
    /// scrapes would pile up. Where [telemetry](crate::telemetry) exports metrics, it pushes them too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn keep_up(self, stop: CancellationToken) {
        let upkeep = async {
            loop {
                tokio::time::sleep(UPKEEP_INTERVAL).await;
                self.shared.handle.run_upkeep();
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = upkeep => {}
            () = self.push() => {}
        }
    }

    /// Pushes all numbers in intervals, if they are wanted; never ends.
    async fn push(&self) {
        let Some(push) = telemetry::push() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(push.interval()).await;
            push.send(&self.render().await).await;
        }
    }

    /// All numbers in Prometheus' text format.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn render(&self) -> String {
        let mut text = self.shared.handle.render();
        let build = [(env!("CARGO_PKG_VERSION").to_owned(), 1.0)];
        write_by_label(
            &mut text,
            Kind::Gauge,
            "tbx_build_info",
            "Always 1; the label tells the version.",
            "version",
            &build,
        );
        let help = "What each health check says: 1 pass, 0.5 warn, 0 fail.";
        write_by_label(&mut text, Kind::Gauge, "tbx_health", help, "check", &self.shared.health.levels());
        for family in self.samples().await.chunk_by(|one, next| one.name == next.name) {
            write_family(&mut text, family);
        }
        let process = tokio::task::spawn_blocking(|| {
            let mut text = String::new();
            write_process(&mut text);
            text
        });
        text.push_str(&process.await.unwrap_or_default());
        text
    }

    /// Adds `/metrics` to a router.
    ///
    /// # Panics
    ///
    /// As poem's `Route::at` does, when the router has it already.
    #[must_use]
    pub fn mount(&self, routes: Route) -> Route {
        let metrics = self.clone();
        routes.at(
            "/metrics",
            get(make(move |_| {
                let metrics = metrics.clone();
                async move { answer(metrics.render().await) }
            })),
        )
    }

    /// Runs `measure`, in which the macros of the crate `metrics` write here.
    pub(super) fn record<T>(&self, measure: impl FnOnce() -> T) -> T {
        with_local_recorder(&self.shared.recorder, measure)
    }

    async fn samples(&self) -> Vec<Sample> {
        let samplers = self.shared.samplers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let looks = samplers.iter().map(|look| tokio::time::timeout(SAMPLE_TIMEOUT, look()));
        let samples = futures_util::future::join_all(looks).await;
        samples.into_iter().filter_map(Result::ok).flatten().collect()
    }
}

fn write_family(text: &mut String, family: &[Sample]) {
    let Some(Sample { name, help, value, kind, which }) = family.first() else { return };
    let Some((label, _)) = which else { return write_value(text, *kind, name, help, *value) };
    let one = |sample: &Sample| Some((sample.which.as_ref()?.1.clone(), sample.value));
    write_by_label(text, *kind, name, help, label, &family.iter().filter_map(one).collect::<Vec<_>>());
}

fn answer(text: String) -> Response {
    Response::builder()
        .header(http::header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
        .header(http::header::CACHE_CONTROL, "no-store")
        .body(text)
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sampler_that_does_not_answer_holds_up_nobody() {
        let metrics = Metrics::new(Health::new());
        metrics.sample(std::future::pending);
        metrics.sample(|| async { vec![Sample::new("answers", "What.", 2.0)] });
        assert!(metrics.render().await.contains("\nanswers 2\n"));
    }

    #[tokio::test]
    async fn numbers_of_one_family_stand_together_each_with_its_label() {
        let metrics = Metrics::new(Health::new());
        let samples = ["a", "b"].map(|group| Sample::count("waiting", "What.", 2).of("group", group));
        metrics.sample(move || std::future::ready(samples.to_vec()));
        let expected =
            "# HELP waiting What.\n# TYPE waiting gauge\nwaiting{group=\"a\"} 2\nwaiting{group=\"b\"} 2\n";
        assert!(metrics.render().await.contains(expected));
    }

    #[tokio::test]
    async fn what_only_grows_is_a_counter() {
        let metrics = Metrics::new(Health::new());
        metrics.sample(|| std::future::ready(vec![Sample::total("lost_total", "What.", 2)]));
        let expected = "# HELP lost_total What.\n# TYPE lost_total counter\nlost_total 2\n";
        assert!(metrics.render().await.contains(expected));
    }
}
