//! The routes.

use std::sync::Arc;

use poem::{Endpoint, Response, Route};
use tbx_backends::Letters;
use tbx_service::Front;

use crate::letters;

/// The routes of the worker: dead letters, and what every host has.
pub fn app(front: &Front, letters: Letters) -> impl Endpoint<Output = Response> + use<> {
    front.around("worker", letters::mount(Route::new(), Arc::new(letters)), letters::ROUTES)
}
