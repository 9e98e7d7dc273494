//! The routes.

use std::time::Duration;

use poem::endpoint::TowerCompatExt;
use poem::http::StatusCode;
use poem::{Endpoint, EndpointExt, Response, Route, post};
use tbx_notify::TopicSet;
use tbx_notify::hub::Hub;
use tbx_notify::sse::{RejectionKind, SseRejection, SseService};
use tbx_service::problem::Problem;
use tbx_service::{BodyLimit, Health, Problems, RequestTrace};

use crate::intake::Intake;
use crate::publish::publish;

/// What the notifier is made of.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// The fan-out.
    pub hub: Hub,
    /// Where notifications that come by HTTP go.
    pub intake: Intake,
    /// How long a stream may be silent.
    pub keep_alive: Duration,
    /// The state of the host.
    pub health: Health,
    /// The largest body taken, in bytes.
    pub body_limit: usize,
}

/// The routes of the notifier: `/api/notifications/stream`, `/api/notifications/students/stream`, `/api/notifications` and `/health`.
pub fn app(notifier: Notifier) -> impl Endpoint<Output = Response> {
    let stream = SseService::new(notifier.hub).with_keep_alive(notifier.keep_alive);
    let students = stream.clone().with_topics(students());
    let routes = Route::new()
        .at("/api/notifications/stream", stream.compat().after(in_own_words))
        .at("/api/notifications/students/stream", students.compat().after(in_own_words))
        .at("/api/notifications", post(publish));
    notifier
        .health
        .mount(routes)
        .data(notifier.intake)
        .with(BodyLimit(notifier.body_limit))
        .with(Problems::new().with_allow(allowed_methods))
        .with(RequestTrace)
        .map_to_response()
}

/// What `/api/notifications/students/stream` streams.
#[expect(clippy::expect_used, reason = "the text is a constant, and every test of the routes reads it")]
fn students() -> TopicSet {
    TopicSet::parse("student.*").expect("a pattern")
}

/// Refuses what a stream refuses with a problem like all others of this host.
async fn in_own_words(answer: poem::Result<Response>) -> poem::Result<Response> {
    let answer = answer?;
    match answer.extensions().get::<SseRejection>().map(problem) {
        Some(problem) => Err(problem.into()),
        None => Ok(answer),
    }
}

fn problem(rejection: &SseRejection) -> Problem {
    match rejection.kind() {
        RejectionKind::Query => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed-request", rejection.detail())
        }
        _ => Problem::from_status(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The methods of a path, for answers that must name them.
fn allowed_methods(path: &str) -> Option<&'static str> {
    match path {
        "/api/notifications" => Some("POST"),
        _ => Some("GET, HEAD"),
    }
}
