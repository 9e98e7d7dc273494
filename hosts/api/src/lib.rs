//! The api host: the student REST API on poem with OpenAPI.
//!
//! [`app`] is the whole HTTP surface as a poem endpoint; a host gives it the use cases and runs it.
//! [`openapi()`] is its document. [`host`] runs it as a process of its own.

mod app;
mod dto;
mod entity_tag;
pub mod host;
mod idempotency_key;
mod input;
mod media_type;
mod openapi;
mod payload;
mod problems;
mod query;
mod reads;
mod students;
mod swagger;

pub use app::{Api, ROUTES, app};
pub use openapi::openapi;
