//! How the process is, for people, load balancers and supervisors.

mod registry;
mod routes;
mod watch;

pub use registry::{Check, Health, Status};
pub use watch::watch_state;
