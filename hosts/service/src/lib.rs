//! What every TBX host shares, so that a host is only its endpoints and its wiring.
//!
//! - [`serve`](mod@serve): the accept and connection loop, with limits, deadlines and a drain
//! - [`problem`]: every error as RFC 9457 problem document, with the trace it belongs to
//! - [`config`]: settings from defaults, file, environment and flags, with the origin of each
//! - [`health`]: named checks and the endpoints that show them
//! - [`logging`], [`shutdown`], [`tasks`]: lines on stderr, signals, owned background work
//!
//! The order of the poem layers matters: the trace must be known before an error is rendered, and the body
//! limit is an error like any other.
//!
//! ```
//! use poem::{EndpointExt, Route, get, handler};
//! use tbx_service::{BodyLimit, Health, Problems, RequestTrace, poem_service};
//!
//! #[handler]
//! fn hello() -> &'static str {
//!     "hello"
//! }
//!
//! let health = Health::new();
//! let routes = health.mount(Route::new().at("/", get(hello)));
//! let app = routes
//!     .with(BodyLimit(256 * 1024))
//!     .with(Problems::new().with_allow(|path| (path == "/").then_some("GET, HEAD")))
//!     .with(RequestTrace);
//! let service = poem_service(app);
//! # let _ = service;
//! ```

mod chain;
pub mod config;
pub mod health;
pub mod logging;
pub mod problem;
pub mod serve;
pub mod shutdown;
pub mod tasks;

pub use chain::chain;
pub use config::{Config, ConfigError, Loaded};
pub use health::{Check, Health, Status, watch_state};
pub use problem::{FieldFault, Problem, Problems, RequestTrace, current_trace};
pub use serve::{
    BodyLimit, Listener, PeerAddr, PoemService, ServeError, ServeOptions, UpgradeHandle, poem_service, serve,
};
pub use shutdown::ShutdownSignal;
pub use tasks::Tasks;
