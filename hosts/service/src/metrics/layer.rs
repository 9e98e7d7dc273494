//! Counting requests.

use std::fmt;
use std::time::Instant;

use http::Method;
use metrics::{Gauge, describe_gauge, describe_histogram, gauge, histogram};
use poem::{Endpoint, Middleware, Request, Response};

use super::Metrics;
use crate::RouteTable;
use crate::problem::name_after_route;

const DURATION: &str = "http_server_request_duration_seconds";
const ACTIVE: &str = "http_server_active_requests";

/// What [`Metered`] writes, in words.
pub(super) fn describe() {
    describe_histogram!(DURATION, "Time from the arrival of a request to the head of its answer.");
    describe_gauge!(ACTIVE, "Requests whose answer has not begun.");
}

/// poem middleware that measures each request up to the head of its answer, so that a stream counts once and at once. Belongs directly inside
/// [`RequestTrace`](crate::RequestTrace).
///
/// Labels are bounded whatever is asked for: the route is its template, or `_unmatched`, and a method nobody knows is `_OTHER`.
#[derive(Debug, Clone)]
pub struct Metered {
    /// Where the numbers go.
    pub metrics: Metrics,
    /// The name of the host.
    pub service: &'static str,
    /// The routes there are.
    pub routes: RouteTable,
}

impl<E: Endpoint> Middleware<E> for Metered {
    type Output = MeteredEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        MeteredEndpoint { metered: self.clone(), inner }
    }
}

/// Endpoint of [`Metered`].
pub struct MeteredEndpoint<E> {
    metered: Metered,
    inner: E,
}

impl<E> fmt::Debug for MeteredEndpoint<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredEndpoint").field("metered", &self.metered).finish_non_exhaustive()
    }
}

impl<E: Endpoint> Endpoint for MeteredEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let began = Instant::now();
        let Metered { metrics, service, routes } = &self.metered;
        let method = label(request.method());
        let route = routes.find(request.uri().path()).map(|route| route.template);
        if let Some(template) = route {
            name_after_route(method, template);
        }
        let route = route.unwrap_or("_unmatched");
        let active =
            metrics.record(|| gauge!(ACTIVE, "http_request_method" => method, "service" => *service));
        let active = Active::begin(active);
        let response = self.inner.get_response(request).await;
        drop(active);
        let status = response.status().as_str().to_owned();
        let duration = metrics.record(|| {
            histogram!(
                DURATION,
                "http_request_method" => method,
                "http_route" => route,
                "http_response_status_code" => status,
                "service" => *service,
            )
        });
        duration.record(began.elapsed());
        Ok(response)
    }
}

/// Counts a request for as long as it lives: a client that leaves early ends it too.
struct Active(Gauge);

impl Active {
    fn begin(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A method nobody knows.
pub(crate) const OTHER: &str = "_OTHER";

/// The name of a method, of which there are few whatever is asked for.
pub(crate) fn label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}
