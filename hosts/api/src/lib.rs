//! The api host: the student REST API on poem with OpenAPI.
//!
//! [`app`] is the whole HTTP surface as a poem endpoint; a host gives it the use cases and runs it.

mod app;
mod dto;
mod entity_tag;
mod input;
mod payload;
mod position;
mod problems;
mod students;
mod swagger;

pub use app::{Api, ROUTES, app};
