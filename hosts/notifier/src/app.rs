//! The routes.

use std::time::Duration;

use poem::endpoint::TowerCompatExt;
use poem::http::header;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get};
use tbx_notify::hub::Hub;
use tbx_notify::poll::PollService;
use tbx_notify::publish::PublishService;
use tbx_notify::sse::SseService;
use tbx_notify::upgrade::Upgrade;
use tbx_notify::websocket::{Origins, WebSocketService};
use tbx_notify::{Rejection, TopicSet};
use tbx_service::problem::{Problem, sentence};
use tbx_service::{Front, RouteTable, StaticFile, UpgradeHandle, require_identity};

use crate::connections::connections;
use crate::intake::Intake;
use crate::openapi::openapi;
use crate::pages::{Sisters, mount_pages};

/// What the notifier is made of.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// The fan-out.
    pub hub: Hub,
    /// Where notifications that come by HTTP go.
    pub intake: Intake,
    /// How long a stream may be silent.
    pub keep_alive: Duration,
    /// Where the other hosts are, for the pages.
    pub sisters: Sisters,
    /// What is around the routes of every host.
    pub front: Front,
}

/// The routes of the notifier, which [`ROUTES`] lists, and what every host has.
pub fn app(notifier: Notifier) -> impl Endpoint<Output = Response> {
    let Notifier { hub, intake, keep_alive, sisters, front } = notifier;
    let stream = SseService::new(hub.clone()).with_keep_alive(keep_alive);
    let of_students = stream.clone().with_topics(students("student.*"));
    // The guard in front has looked at the origin.
    let websocket = WebSocketService::new(hub.clone()).with_keep_alive(keep_alive).with_origins(Origins::Any);
    let publish = PublishService::new(intake)
        .with_reserved_topics(students("student.#").patterns().iter().cloned())
        // The front bounds bodies.
        .with_max_body(usize::MAX);
    let poll = PollService::new(hub.clone());
    let routes = Route::new()
        .at("/api/notifications/stream", stream.compat().after(in_own_words))
        .at("/api/notifications/students/stream", of_students.compat().after(in_own_words))
        .at("/api/notifications/ws", websocket.compat().before(hand_over_connection).after(in_own_words))
        .at(
            "/api/notifications",
            get(poll.compat()).post(publish.compat().before(as_it_is)).after(in_own_words),
        )
        .at("/api/notifications/connections", get(connections(hub)))
        .at("/openapi.json", get(StaticFile::new("application/json", openapi())));
    front.around("notifier", mount_pages(routes, sisters), ROUTES)
}

/// The routes of the notifier.
pub const ROUTES: RouteTable = RouteTable(&[
    ("/", READ),
    ("/sse-test.html", READ),
    ("/websocket-test.html", READ),
    ("/pages/{file}", READ),
    ("/openapi.json", READ),
    ("/api/notifications", "GET, HEAD, POST, OPTIONS"),
    ("/api/notifications/connections", READ),
    ("/api/notifications/stream", READ),
    ("/api/notifications/students/stream", READ),
    ("/api/notifications/ws", "GET, OPTIONS"),
]);

const READ: &str = "GET, HEAD, OPTIONS";

/// Bodies come without a content coding.
async fn as_it_is(request: Request) -> poem::Result<Request> {
    require_identity(request.headers()).map(|()| request)
}

/// Gives the connection that the server may hand over to the service, by the name that the service knows.
async fn hand_over_connection(mut request: Request) -> poem::Result<Request> {
    if let Some(UpgradeHandle(handle)) = request.extensions_mut().remove::<UpgradeHandle>() {
        request.extensions_mut().insert(Upgrade::from(handle));
    }
    Ok(request)
}

/// Topics of students.
#[expect(clippy::expect_used, reason = "the text is a constant, and every test of the routes reads it")]
fn students(pattern: &str) -> TopicSet {
    TopicSet::parse(pattern).expect("a pattern")
}

/// Words what a service of the library refuses like all other problems of this host.
async fn in_own_words(answer: poem::Result<Response>) -> poem::Result<Response> {
    let answer = answer?;
    let Some(rejection) = answer.extensions().get::<Rejection>() else { return Ok(answer) };
    let problem = Problem::new(rejection.status(), rejection.code(), sentence(rejection.detail()));
    let problem = rejection
        .faults()
        .iter()
        .fold(problem, |problem, fault| problem.with_error(fault.pointer, fault.code, fault.detail.clone()));
    let mut own = problem.into_response();
    // The methods come from the table of routes, which knows more of them.
    let kept = rejection.headers().iter().filter(|(name, _)| name != header::ALLOW);
    own.headers_mut().extend(kept.cloned());
    Ok(own)
}
