//! Numbers for Prometheus, at `/metrics` of every listener.
//!
//! Requests are counted as they come ([`Metered`], names and buckets of the OpenTelemetry conventions); everything else is looked at when it is asked
//! for: the process in `/proc`, the health checks, and what a host adds with [`Metrics::sample`].

mod exposition;
mod layer;
mod process;
mod registry;

pub use layer::{Metered, MeteredEndpoint};
pub(crate) use layer::{OTHER, label};
pub use registry::{Metrics, Sample};
