//! The notifier host: fans notifications out to browsers, and takes some by HTTP.
//!
//! [`app`] is the whole HTTP surface as a poem endpoint; [`group`] is where its messages come from, through
//! [`tbx_notify::bridge::Bridge`].

mod app;
mod connections;
mod gauges;
mod group;
pub mod host;
mod intake;
mod openapi;
mod pages;

pub use app::{Notifier, ROUTES, app};
pub use gauges::register_gauges;
pub use group::group;
pub use intake::Intake;
pub use openapi::openapi;
pub use pages::Sisters;
