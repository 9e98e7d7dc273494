//! The routes.

use poem::{Endpoint, Response, Route};
use tbx_service::{Front, RouteTable};

/// The routes of the worker: what every host has, and nothing else.
pub fn app(front: &Front) -> impl Endpoint<Output = Response> + use<> {
    front.around("worker", Route::new(), RouteTable(&[]))
}
