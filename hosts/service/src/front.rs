//! What is around the routes of every host.

use poem::{Endpoint, EndpointExt, Response, Route};

use crate::metrics::Metered;
use crate::problem::mount_problem_pages;
use crate::{BodyLimit, Config, Guard, Health, Metrics, Problems, RequestTrace, RouteTable, telemetry};

/// The outside of all listeners of a process, the same for each. Clones share health and numbers.
///
/// ```text
/// RequestTrace ─► Metered ─► Guard ─► Problems ─► BodyLimit ─► routes of the host, /health, /metrics, /problems
/// ```
///
/// The trace must be known before an error is written; refusals of the guard are measured; its headers are on every answer, errors too; the body limit
/// is an error like any other.
#[derive(Debug, Clone)]
pub struct Front {
    health: Health,
    metrics: Metrics,
    guard: Guard,
    body_limit: usize,
}

impl Front {
    /// The front of a process with these ports: of its own listeners as bound, and of the other hosts, whose pages may call, as configured.
    #[must_use]
    pub fn new(config: &Config, health: Health, own_ports: impl IntoIterator<Item = u16>) -> Self {
        telemetry::report_to(&health);
        Self {
            metrics: Metrics::new(health.clone()),
            guard: Guard::new(config, own_ports),
            health,
            body_limit: config.body_limit,
        }
    }

    /// The numbers of the process, for those who add some. Whoever serves the front runs [`Metrics::keep_up`] too.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The whole surface of a listener: `routes`, which `table` tells of, and what every host has. `service` is the name of the host in metrics.
    ///
    /// # Panics
    ///
    /// As poem's `Route::at` does, when `routes` has an address of those that every host has.
    pub fn around(
        &self,
        service: &'static str,
        routes: Route,
        table: RouteTable,
    ) -> impl Endpoint<Output = Response> + use<> {
        let routes = mount_problem_pages(self.metrics.mount(self.health.mount(routes)));
        let metered = Metered { metrics: self.metrics.clone(), service, routes: table };
        routes
            .with(BodyLimit(self.body_limit))
            .with(Problems::new().with_allow(move |path| table.find(path).map(|route| route.methods)))
            .with(self.guard.clone().with_routes(table))
            .with(metered)
            .with(RequestTrace)
            .map_to_response()
    }
}
