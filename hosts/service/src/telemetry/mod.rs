//! Traces, logs and metrics for a collector, by OTLP over HTTP.
//!
//! Exports what the standard variables `OTEL_*` ask for, and is not there at all when they ask for nothing. A collector that is slow, refuses or is gone
//! costs what could not be sent and nothing else: queues are bounded, requests have deadlines, everything that waits does so on threads of its own.
//!
//! - *Traces:* the libraries make spans with their ids in agreed fields ([`tbx_bus::span`]), because the ids travel in messages; the layer here hands
//!   them to the SDK as they are. Whether a trace is recorded is decided once, where it begins, and travels with it.
//! - *Logs:* the lines of stderr, with the same filter, each with its trace.
//! - *Metrics:* what `/metrics` shows, pushed.
//!
//! A host begins it instead of [`logging`] and ends it when everything else has ended. [`Front`](crate::Front) does the rest.

mod exposition;
mod ids;
mod layer;
mod log_record;
mod metrics;
mod running;
mod sampling;
mod sender;
mod settings;
mod signal_client;
mod standing;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LoggerProvider as _;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor as _};
use thiserror::Error;

pub(crate) use self::layer::{Export, spans_for_exports};
pub(crate) use self::metrics::Push;
pub(crate) use self::sampling::decide;
use self::sender::Sender;
use self::settings::{Settings, Signal};
use self::signal_client::{OwnRuntime, SignalClient};
use self::standing::Standing;
use crate::config::BusUrl;
use crate::logging::LoggingError;
use crate::{Config, Health, logging};

/// What of the process is exported. Set once, as logging is.
static ACTIVE: OnceLock<Active> = OnceLock::new();

#[derive(Debug)]
struct Active {
    standing: Arc<Standing>,
    push: Option<Push>,
}

/// The exporters of the process. [`end`](Self::end) it after everything that is to be told.
#[derive(Debug)]
#[must_use = "what waits to be sent is lost unless it is ended"]
pub struct Telemetry {
    spans: Option<Arc<BatchSpanProcessor>>,
    logs: Option<SdkLoggerProvider>,
}

/// Telemetry could not begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A variable cannot be used.
    #[error("{0}")]
    Setting(String),
    /// An exporter cannot be made.
    #[error("cannot export telemetry")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Logging cannot begin.
    #[error(transparent)]
    Logging(#[from] LoggingError),
}

/// How long [`Telemetry::end`] waits for what is still to be sent.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Telemetry {
    /// Begins logging, and exporting as far as `OTEL_*` in the environment asks for it. `service` is the name of the process unless they give it another.
    ///
    /// # Errors
    ///
    /// When a variable cannot be used, or logging has begun before.
    pub fn begin(service: &'static str, config: &Config) -> Result<Self, TelemetryError> {
        let settings = Settings::read(|name| std::env::var(name).ok())?;
        if settings.is_silent() {
            logging::init(&config.log, config.log_format)?;
            return Ok(Self { spans: None, logs: None });
        }
        let parts = Parts::new(service, &settings)?;
        let spans = settings.traces.as_ref().map(|_| parts.spans()).transpose()?.map(Arc::new);
        let logs = settings.logs.as_ref().map(|_| parts.logs()).transpose()?;
        let export = Export {
            spans: spans.clone(),
            logs: logs.as_ref().map(|provider| provider.logger("tbx")),
            scope: InstrumentationScope::builder("tbx").with_version(env!("CARGO_PKG_VERSION")).build(),
            messaging: if matches!(config.bus_url, BusUrl::Amqp(_)) { "rabbitmq" } else { "memory" },
        };
        logging::begin(&config.log, config.log_format, Some(export))?;
        sampling::install(settings.sampler);
        let (interval, standing) = (settings.metric_interval, Arc::clone(&parts.standing));
        let push = settings
            .metrics
            .map(|target| Push::new(target, interval, parts.sender, &parts.resource, standing));
        // Set only now that logging has begun, which it does once.
        let _ = ACTIVE.set(Active { standing: parts.standing, push });
        Ok(Self { spans, logs })
    }

    /// Sends what is still to be sent, for at most 3 s. Blocks: call it outside of any runtime, when the work has ended.
    pub fn end(self) {
        let deadline = Instant::now() + LAST_WORDS;
        let left = || deadline.saturating_duration_since(Instant::now());
        // What could not be sent is lost, and there is nobody left to be told.
        if let Some(spans) = self.spans {
            let _ = spans.shutdown_with_timeout(left());
        }
        if let Some(logs) = self.logs {
            let _ = logs.shutdown_with_timeout(left());
        }
    }
}

/// Asks every collector that `OTEL_*` names whether it takes an export, one that holds nothing. Gives the signal and what came of it, and nothing when
/// nothing is exported.
///
/// # Errors
///
/// When a variable cannot be used.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn probe() -> Result<Vec<(&'static str, Result<(), String>)>, TelemetryError> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let sender = Sender::new(settings.timeout, settings.needs_tls)?;
    let mut probed = Vec::new();
    for (signal, target) in settings.targets() {
        let outcome = match target.request(Vec::new()) {
            Ok(request) => standing::outcome(&sender.send(request).await),
            Err(error) => Err(error.to_string()),
        };
        probed.push((signal.word(), outcome));
    }
    Ok(probed)
}

/// Shows in `health` whether exporting works, when there is some.
pub(crate) fn report_to(health: &Health) {
    if let Some(active) = ACTIVE.get() {
        active.standing.report_to(health.register("telemetry"));
    }
}

/// Where metrics are pushed to, if anywhere.
pub(crate) fn push() -> Option<Push> {
    ACTIVE.get()?.push.clone()
}

/// What all exporters share.
struct Parts {
    sender: Arc<Sender>,
    runtime: Arc<OwnRuntime>,
    standing: Arc<Standing>,
    resource: Resource,
}

impl Parts {
    fn new(service: &'static str, settings: &Settings) -> Result<Self, TelemetryError> {
        let failed = |error| TelemetryError::Exporter(Box::new(error));
        Ok(Self {
            sender: Arc::new(Sender::new(settings.timeout, settings.needs_tls)?),
            runtime: Arc::new(OwnRuntime::new().map_err(failed)?),
            standing: Arc::default(),
            resource: resource(service),
        })
    }

    fn client(&self, signal: Signal) -> Arc<SignalClient> {
        let (sender, runtime) = (Arc::clone(&self.sender), Arc::clone(&self.runtime));
        Arc::new(SignalClient { signal, sender, runtime, standing: Arc::clone(&self.standing) })
    }

    fn spans(&self) -> Result<BatchSpanProcessor, TelemetryError> {
        let exporter =
            SpanExporter::builder().with_http().with_shared_http_client(self.client(Signal::Traces));
        let exporter = exporter.build().map_err(|error| TelemetryError::Exporter(Box::new(error)))?;
        let mut spans = BatchSpanProcessor::builder(exporter).build();
        spans.set_resource(&self.resource);
        Ok(spans)
    }

    fn logs(&self) -> Result<SdkLoggerProvider, TelemetryError> {
        let exporter = LogExporter::builder().with_http().with_shared_http_client(self.client(Signal::Logs));
        let exporter = exporter.build().map_err(|error| TelemetryError::Exporter(Box::new(error)))?;
        Ok(SdkLoggerProvider::builder()
            .with_resource(self.resource.clone())
            .with_batch_exporter(exporter)
            .build())
    }
}

/// Who this process is: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and what they leave out.
fn resource(service: &'static str) -> Resource {
    ids::resource(service, &Resource::builder().build())
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
