//! The worker host: takes student events from their group and works each off once.
//!
//! [`StudentEvents`] is the handler, a tower service for [`tbx_bus::consumer::Consumer`], and [`app`] the HTTP surface. [`host`] runs them, as a process of
//! its own or as a part of one.

mod app;
mod handler;
pub mod host;
mod letters;
mod page;

pub use app::app;
pub use handler::StudentEvents;
