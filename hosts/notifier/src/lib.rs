//! The notifier host: fans notifications out to browsers, and takes some by HTTP.
//!
//! [`app`] is the whole HTTP surface as a poem endpoint. [`host`] runs it, as a process of its own or as a part of one; its messages come through
//! [`tbx_notify::bridge::Bridge`].

mod app;
mod connections;
mod gauges;
pub mod host;
mod intake;
mod openapi;
mod pages;

pub use app::{Notifier, ROUTES, app};
pub use gauges::register_gauges;
pub use intake::Intake;
pub use openapi::openapi;
pub use pages::Sisters;
