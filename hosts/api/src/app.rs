//! The routes.

use std::fmt;
use std::sync::Arc;

use poem::{Endpoint, EndpointExt, Response, Route, get};
use poem_openapi::OpenApiService;
use tbx_backends::HistoryHead;
use tbx_core::{
    Clock, CreateStudentHandler, DeleteStudentHandler, GetStudentHandler, ListStudentsHandler, StudentCache,
    Students, UpdateStudentHandler,
};
use tbx_service::{Front, RouteTable, StaticFile};

use crate::openapi::openapi;
use crate::reads::Reads;
use crate::students::StudentsApi;
use crate::swagger;

/// What the api is made of.
#[derive(Clone)]
pub struct Api {
    /// The students.
    pub students: Arc<dyn Students>,
    /// The students at hand.
    pub cache: Arc<dyn StudentCache>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the history of notifications stands, when this host shares it with the notifier.
    pub head: Option<HistoryHead>,
    /// What is around the routes of every host.
    pub front: Front,
}

/// The routes of the api: `/api/students`, `/api/v1/students`, `/openapi.json`, `/swagger`, and what every host has.
pub fn app(api: Api) -> impl Endpoint<Output = Response> {
    let students = StudentsApi {
        create: CreateStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        update: UpdateStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        delete: DeleteStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        get: GetStudentHandler::new(Arc::clone(&api.students), Arc::clone(&api.cache)),
        list: ListStudentsHandler::new(Arc::clone(&api.students)),
        clock: Arc::clone(&api.clock),
    };
    let service = || OpenApiService::new(students.clone(), "TBX students", env!("CARGO_PKG_VERSION"));
    let routes = Route::new()
        .at("/openapi.json", get(StaticFile::new("application/json", openapi())))
        .nest("/swagger", swagger::routes())
        .nest("/api/v1", service())
        .nest("/api", service());
    let app = api.front.around("api", routes, ROUTES);
    // Around everything, since refusals carry it too.
    app.with(Reads(api.head)).map_to_response()
}

/// The routes of the api.
pub const ROUTES: RouteTable = RouteTable(&[
    ("/api/students", COLLECTION),
    ("/api/students/{id}", ONE),
    ("/api/v1/students", COLLECTION),
    ("/api/v1/students/{id}", ONE),
    ("/openapi.json", READ),
    ("/swagger", READ),
    ("/swagger/", READ),
    ("/swagger/page.css", READ),
    ("/swagger/page.js", READ),
    ("/swagger/ui.css", READ),
    ("/swagger/ui.js", READ),
]);

const COLLECTION: &str = "GET, HEAD, POST, OPTIONS";
const ONE: &str = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS";
const READ: &str = "GET, HEAD, OPTIONS";

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("front", &self.front).finish_non_exhaustive()
    }
}
