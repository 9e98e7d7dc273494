//! What `OTEL_*` asks for. Endpoints, headers and queues of traces and logs are read by the SDK itself; this is what decides whether it is asked at all,
//! and what it would pass over in silence.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::TelemetryError;
use super::sampling::Sampler;

/// How long an export may take unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise, as in the SDK.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often metrics are pushed unless `OTEL_METRIC_EXPORT_INTERVAL` says otherwise, as in the SDK.
const METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// The only protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// As in sentences and paths.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// As in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    fn variable(self, what: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{what}", self.word().to_ascii_uppercase())
    }
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) traces: Option<Target>,
    pub(super) logs: Option<Target>,
    pub(super) metrics: Option<Target>,
    pub(super) needs_tls: bool,
    pub(super) timeout: Duration,
    pub(super) metric_interval: Duration,
    pub(super) sampler: Sampler,
}

/// Where a signal goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

impl Target {
    /// A request with this body of protobuf.
    pub(super) fn request(&self, body: Vec<u8>) -> http::Result<Request<Bytes>> {
        let mut request = Request::builder().method(Method::POST).uri(self.uri.clone()).body(body.into())?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(request)
    }
}

impl Settings {
    /// Nothing is asked for.
    pub(super) fn is_silent(&self) -> bool {
        self.targets().next().is_none()
    }

    /// What goes where.
    pub(super) fn targets(&self) -> impl Iterator<Item = (Signal, &Target)> {
        let all =
            [(Signal::Traces, &self.traces), (Signal::Logs, &self.logs), (Signal::Metrics, &self.metrics)];
        all.into_iter().filter_map(|(signal, target)| Some((signal, target.as_ref()?)))
    }

    /// Reads the environment, of which `variable` gives a value by name.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, TelemetryError> {
        let environment = Environment(variable);
        let mut settings = Self {
            traces: None,
            logs: None,
            metrics: None,
            needs_tls: false,
            timeout: environment.milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT")?.unwrap_or(TIMEOUT),
            metric_interval: environment
                .milliseconds("OTEL_METRIC_EXPORT_INTERVAL")?
                .unwrap_or(METRIC_INTERVAL),
            sampler: environment.sampler()?,
        };
        if environment.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(settings);
        }
        for signal in Signal::ALL {
            let Some(uri) = environment.endpoint(signal)? else { continue };
            environment.check(signal)?;
            settings.needs_tls |= uri.scheme() == Some(&Scheme::HTTPS);
            let target = Some(environment.target(signal, uri)?);
            match signal {
                Signal::Traces => settings.traces = target,
                Signal::Logs => settings.logs = target,
                Signal::Metrics => settings.metrics = target,
            }
        }
        Ok(settings)
    }
}

struct Environment<F>(F);

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// A variable that is empty counts as absent.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The variable of a signal, or the one for all, with the name it was found under.
    fn of(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let names = [signal.variable(what), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    /// Where a signal goes, or `None` when it is not asked for.
    fn endpoint(&self, signal: Signal) -> Result<Option<Uri>, TelemetryError> {
        let exporter = format!("OTEL_{}_EXPORTER", signal.word().to_ascii_uppercase());
        match self.get(&exporter).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => return Err(unusable(&exporter, other, "use otlp or none")),
        }
        let Some((name, text)) = self.of(signal, "ENDPOINT") else { return Ok(None) };
        // Never shown: there may be a password in it.
        let refuse = |why: &str| Err(TelemetryError::Setting(format!("{name}: {why}")));
        let address = if name == signal.variable("ENDPOINT") {
            text
        } else {
            format!("{}/v1/{}", text.trim_end_matches('/'), signal.word())
        };
        match address.parse::<Uri>() {
            Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                refuse("has credentials in it; give them in OTEL_EXPORTER_OTLP_HEADERS instead")
            }
            Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
                Ok(Some(uri))
            }
            _ => refuse("is no address by http or https; use one such as http://localhost:4318"),
        }
    }

    /// Refuses what the SDK would pass over.
    fn check(&self, signal: Signal) -> Result<(), TelemetryError> {
        if let Some((name, text)) = self.of(signal, "PROTOCOL").filter(|(_, text)| text != PROTOCOL) {
            let remedy =
                "only http/protobuf is spoken, which collectors take at port 4318; use that or remove it";
            return Err(unusable(&name, &text, remedy));
        }
        if let Some((name, text)) = self.of(signal, "COMPRESSION").filter(|(_, text)| text != "none") {
            return Err(unusable(&name, &text, "nothing is compressed; remove it"));
        }
        Ok(())
    }

    fn target(&self, signal: Signal, uri: Uri) -> Result<Target, TelemetryError> {
        let mut headers = HeaderMap::new();
        if let Some((name, text)) = self.of(signal, "HEADERS") {
            for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
                let (key, value) = header(pair).ok_or_else(|| {
                    TelemetryError::Setting(format!(
                        "{name}: is no list of headers; write KEY=VALUE,KEY=VALUE"
                    ))
                })?;
                headers.insert(key, value);
            }
        }
        Ok(Target { uri, headers })
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>, TelemetryError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(milliseconds @ 1..) => Ok(Some(Duration::from_millis(milliseconds))),
            _ => Err(unusable(name, &text, "use a number of milliseconds")),
        }
    }

    fn sampler(&self) -> Result<Sampler, TelemetryError> {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let Some(text) = self.get(NAME) else { return Ok(Sampler::default()) };
        let argument = self.get("OTEL_TRACES_SAMPLER_ARG");
        Sampler::parse(&text, argument.as_deref()).ok_or_else(|| {
            let remedy =
                format!("use {}, the share of …traceidratio in {NAME}_ARG from 0 to 1", Sampler::NAMES);
            unusable(NAME, &text, &remedy)
        })
    }
}

fn unusable(name: &str, text: &str, remedy: &str) -> TelemetryError {
    TelemetryError::Setting(format!("{name}: \"{text}\" cannot be used; {remedy}"))
}

/// One `KEY=VALUE`, the value percent-encoded.
fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (key, value) = pair.split_once('=')?;
    let value = decoded(value.trim())?;
    let mut value = HeaderValue::from_bytes(&value).ok()?;
    value.set_sensitive(true);
    Some((key.trim().parse().ok()?, value))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, TelemetryError> {
        Settings::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://seq:5341/ingest/otlp");

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_named() {
        assert!(read(&[]).unwrap().is_silent());
        assert!(
            read(&[("OTEL_SERVICE_NAME", "tbx"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_silent()
        );
        assert!(read(&[ALL, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_silent());
    }

    #[test]
    fn one_endpoint_is_for_all_signals() {
        let settings = read(&[ALL, ("OTEL_EXPORTER_OTLP_HEADERS", "X-Seq-ApiKey=a%3Db, x=1")]).unwrap();
        assert!(settings.traces.is_some() && settings.logs.is_some() && !settings.needs_tls);
        assert_eq!(settings.metric_interval, METRIC_INTERVAL);
        let metrics = settings.metrics.unwrap();
        assert_eq!(metrics.uri, "http://seq:5341/ingest/otlp/v1/metrics");
        assert_eq!(metrics.headers["x-seq-apikey"], "a=b");
    }

    #[test]
    fn a_signal_may_go_elsewhere_or_nowhere() {
        let traces = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector.example/traces")];
        let settings = read(&traces).unwrap();
        assert!(settings.needs_tls);
        assert_eq!(settings.targets().map(|(signal, _)| signal).collect::<Vec<_>>(), [Signal::Traces]);
        let settings =
            read(&[ALL, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")]).unwrap();
        assert_eq!(settings.targets().map(|(signal, _)| signal).collect::<Vec<_>>(), [Signal::Logs]);
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_remedy_and_without_secrets() {
        for (name, value, remedy) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "remove it"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "seq:5341", "http://localhost:4318"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://me:hunter2@seq/", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "KEY=VALUE"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_TRACES_SAMPLER", "sometimes", "always_on"),
            ("OTEL_METRICS_EXPORTER", "prometheus", "otlp or none"),
        ] {
            let message = read(&[ALL, (name, value)]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name}: ")), "{message}");
            assert!(message.contains(remedy) && !message.contains("hunter2"), "{message}");
        }
    }
}
