//! How the process is, for people, load balancers and supervisors.

mod probe;
mod registry;
mod routes;
mod watch;

pub use probe::probe;
pub use registry::{Check, Health, Status};
pub use watch::watch_state;
