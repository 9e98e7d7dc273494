//! The notifier host: fans notifications out to browsers, and takes some by HTTP.
//!
//! [`app`] is the whole HTTP surface as a poem endpoint; [`group`] is where its messages come from, through
//! [`tbx_notify::bridge::Bridge`].

mod app;
mod connections;
mod group;
pub mod host;
mod intake;
mod pages;

pub use app::{Notifier, ROUTES, app};
pub use group::group;
pub use intake::Intake;
pub use pages::Sisters;
