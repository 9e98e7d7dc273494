//! The layer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};

use super::authority::Authority;
use super::hosts::{AllowedHosts, addressed};
use super::origins::{AllowedOrigins, Called, Standing};
use super::{cors, security};
use crate::serve::OwnAddr;
use crate::{Config, Problem, RouteTable};

/// Longest piece of a request that is told back.
const MAX_SHOWN_CHARS: usize = 100;

/// poem middleware that lets in what is meant for this service and comes from where it may; see [the module](super).
///
/// Belongs between [`RequestTrace`](crate::RequestTrace) and [`Problems`](crate::Problems), so that every answer carries its headers. Clones share
/// the rules.
#[derive(Debug, Clone)]
pub struct Guard {
    rules: Arc<Rules>,
    routes: RouteTable,
}

#[derive(Debug)]
struct Rules {
    hosts: AllowedHosts,
    origins: AllowedOrigins,
    own_ports: Vec<u16>,
}

impl Guard {
    /// Guards with the settings. `own_ports` are those of the listeners of all hosts: their pages may call each other. 0 stands for one that is not
    /// known.
    #[must_use]
    pub fn new(config: &Config, own_ports: impl IntoIterator<Item = u16>) -> Self {
        let rules = Rules {
            hosts: config.allowed_hosts.clone(),
            origins: config.allowed_origins.clone(),
            own_ports: own_ports.into_iter().filter(|port| *port != 0).collect(),
        };
        Self { rules: Arc::new(rules), routes: RouteTable(&[]) }
    }

    /// The same rules in front of these routes, whose methods `OPTIONS` is answered with.
    #[must_use]
    pub fn with_routes(mut self, routes: RouteTable) -> Self {
        self.routes = routes;
        self
    }
}

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = GuardEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        GuardEndpoint { guard: self.clone(), inner }
    }
}

/// Endpoint of [`Guard`].
pub struct GuardEndpoint<E> {
    guard: Guard,
    inner: E,
}

impl<E> fmt::Debug for GuardEndpoint<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardEndpoint").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<E: Endpoint> Endpoint for GuardEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let rules = &self.guard.rules;
        let (visit, mut response) = match rules.examine(&request) {
            Ok(visit) => (visit, self.answer(request).await),
            Err(problem) => (Visit::default(), problem.into_response()),
        };
        let headers = response.headers_mut();
        cors::share(headers, visit.shared_with);
        security::secure(headers, visit.host.as_ref(), &rules.own_ports);
        Ok(response)
    }
}

impl<E: Endpoint> GuardEndpoint<E> {
    async fn answer(&self, request: Request) -> Response {
        if *request.method() != Method::OPTIONS {
            return self.inner.get_response(request).await;
        }
        match self.guard.routes.find(request.uri().path()) {
            Some(route) => cors::options(&request, route),
            None => Problem::from_status(StatusCode::NOT_FOUND).into_response(),
        }
    }
}

/// A request that is let in.
#[derive(Default)]
struct Visit {
    host: Option<Authority>,
    /// The page that may read the answer, when it is not of the same origin.
    shared_with: Option<HeaderValue>,
}

impl Rules {
    fn examine(&self, request: &Request) -> Result<Visit, Problem> {
        let own = request.data::<OwnAddr>().map(|own| own.0.ip());
        let host = addressed(request)?;
        if let Some(host) = host.as_ref().filter(|host| !self.hosts.allows(host, own)) {
            return Err(host_not_allowed(host));
        }
        let shared_with = self.examine_origin(request, host.as_ref(), own)?;
        Ok(Visit { host, shared_with })
    }

    fn examine_origin(
        &self,
        request: &Request,
        host: Option<&Authority>,
        own: Option<IpAddr>,
    ) -> Result<Option<HeaderValue>, Problem> {
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let text = origin.to_str().unwrap_or_default();
        let called = Called { host, own, own_ports: &self.own_ports };
        match self.origins.standing(text, &called) {
            _ if origins.next().is_some() => Err(origin_not_allowed("more than one")),
            Standing::Same => Ok(None),
            Standing::Allowed => Ok(Some(origin.clone())),
            Standing::Foreign => Err(origin_not_allowed(text)),
        }
    }
}

fn host_not_allowed(host: &Authority) -> Problem {
    let name = shown(&host.host.to_string());
    Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "host-not-allowed",
        format!(
            "This service does not answer to the name {name}; list it in TBX_ALLOWED_HOSTS if it should."
        ),
    )
}

fn origin_not_allowed(origin: &str) -> Problem {
    let origin = shown(origin);
    Problem::new(
        StatusCode::FORBIDDEN,
        "origin-not-allowed",
        format!(
            "Pages of the origin \"{origin}\" may not call this service; list it in TBX_ALLOWED_ORIGINS if they should."
        ),
    )
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}
