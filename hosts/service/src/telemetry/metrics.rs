//! Pushing what `/metrics` shows.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::transform::common::tonic::Attributes;
use opentelemetry_sdk::Resource;
use prost::Message as _;

use super::exposition::{Period, metrics};
use super::nanos;
use super::sender::Sender;
use super::settings::{Signal, Target};
use super::standing::{Standing, outcome};

/// The way of metrics to a collector. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    target: Target,
    interval: Duration,
    sender: Arc<Sender>,
    resource: ProtoResource,
    standing: Arc<Standing>,
    began: SystemTime,
}

impl Push {
    pub(super) fn new(
        target: Target,
        interval: Duration,
        sender: Arc<Sender>,
        resource: &Resource,
        standing: Arc<Standing>,
    ) -> Self {
        let attributes = resource.iter().map(|(key, value)| (key.clone(), value.clone()));
        let attributes =
            attributes.map(|(key, value)| opentelemetry::KeyValue::new(key, value)).collect::<Vec<_>>();
        let resource =
            ProtoResource { attributes: Attributes::from(attributes).0, ..ProtoResource::default() };
        Self { target, interval, sender, resource, standing, began: SystemTime::now() }
    }

    /// How often.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Sends the numbers in `text`, in Prometheus' format, once: the next push tells all of it again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have sent them.
    pub(crate) async fn send(&self, text: &str) {
        let answer = match self.request(text) {
            Ok(request) => self.sender.send(request).await,
            Err(error) => Err(error.into()),
        };
        self.standing.note(Signal::Metrics, outcome(&answer));
    }

    fn request(&self, text: &str) -> http::Result<Request<bytes::Bytes>> {
        let period = Period { start: nanos(self.began), now: nanos(SystemTime::now()) };
        let scope = InstrumentationScope {
            name: "tbx".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics =
            ScopeMetrics { scope: Some(scope), metrics: metrics(text, period), ..ScopeMetrics::default() };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        };
        let body = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }.encode_to_vec();
        self.target.request(body)
    }
}
