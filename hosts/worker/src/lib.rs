//! The worker host: takes student events from their group and works each off once.
//!
//! [`StudentEvents`] is the handler, a tower service for [`tbx_bus::consumer::Consumer`]; [`group`] is where its messages come from.
//! [`app`] is its HTTP surface.

mod app;
mod group;
mod handler;

pub use app::app;
pub use group::group;
pub use handler::StudentEvents;
