//! The routes.

use std::fmt;
use std::sync::Arc;

use poem::{Endpoint, EndpointExt, Response, Route, get};
use poem_openapi::OpenApiService;
use tbx_core::{
    Clock, CreateStudentHandler, DeleteStudentHandler, GetStudentHandler, ListStudentsHandler, StudentCache,
    Students, UpdateStudentHandler,
};
use tbx_service::{BodyLimit, Health, Problems, RequestTrace};

use crate::position::StreamPosition;
use crate::students::StudentsApi;

/// What the api is made of.
#[derive(Clone)]
pub struct Api {
    /// The students.
    pub students: Arc<dyn Students>,
    /// The students at hand.
    pub cache: Arc<dyn StudentCache>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The state of the host.
    pub health: Health,
    /// Where the history of notifications stands, when this host shares it with the notifier.
    pub stream_position: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// The largest body taken, in bytes.
    pub body_limit: usize,
}

/// The routes of the api: `/api/students`, `/api/v1/students`, `/openapi.json`, `/swagger` and `/health`.
pub fn app(api: Api) -> impl Endpoint<Output = Response> {
    let students = StudentsApi {
        create: CreateStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        update: UpdateStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        delete: DeleteStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        get: GetStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        list: ListStudentsHandler::new(Arc::clone(&api.students)),
        clock: Arc::clone(&api.clock),
    };
    let service = |prefix: &str| {
        OpenApiService::new(students.clone(), "TBX students", env!("CARGO_PKG_VERSION"))
            .server(prefix.to_owned())
    };
    let (current, versioned) = (service("/api"), service("/api/v1"));
    let routes = Route::new()
        .at("/openapi.json", get(current.spec_endpoint()))
        .nest("/swagger", get(current.swagger_ui()))
        .nest("/api/v1", versioned)
        .nest("/api", current);
    api.health
        .mount(routes)
        .with(BodyLimit(api.body_limit))
        .with(Problems::new().with_allow(allowed_methods))
        .with(StreamPosition(api.stream_position))
        .with(RequestTrace)
        .map_to_response()
}

/// The methods of a path, for answers that must name them.
fn allowed_methods(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/api/v1").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
    match path.strip_prefix("/students") {
        Some("") => Some("GET, HEAD, POST"),
        Some(rest) if rest.starts_with('/') && !rest[1..].contains('/') => {
            Some("GET, HEAD, PUT, PATCH, DELETE")
        }
        Some(_) => None,
        None => Some("GET, HEAD"),
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("body_limit", &self.body_limit).finish_non_exhaustive()
    }
}
