//! What every TBX host shares, so that a host is only its endpoints and its wiring.
//!
//! - [`serve`](mod@serve): the accept and connection loop, with limits, deadlines and a drain
//! - [`problem`]: every error as RFC 9457 problem document, with the trace it belongs to
//! - [`Front`]: what is around the routes of every host, in the order it must have
//! - [`guard`]: hosts and origins that are let in, CORS, security headers
//! - [`metrics`]: numbers for Prometheus
//! - [`config`]: settings from defaults, file, environment and flags, with the origin of each
//! - [`openapi`]: what the documents of the hosts have in common
//! - [`telemetry`]: traces, logs and metrics for a collector
//! - [`health`]: named checks and the endpoints that show them
//! - [`logging`], [`shutdown`], [`tasks`]: lines on stderr, signals, owned background work
//! - [`tell`]: lines for people on stdout
//! - [`Process`], [`Stops`], [`host_main`]: a process from its start to its end in good order
//!
//! ```
//! use poem::{Route, get, handler};
//! use tbx_service::{Config, Front, Health, RouteTable, poem_service};
//!
//! #[handler]
//! fn hello() -> &'static str {
//!     "hello"
//! }
//!
//! const ROUTES: RouteTable = RouteTable(&[("/", "GET, HEAD, OPTIONS")]);
//!
//! let config = Config::load(&[], std::iter::empty(), "/nonexistent".as_ref())?.config;
//! let front = Front::new(&config, Health::new(), [5000]);
//! let app = front.around("hello", Route::new().at("/", get(hello)), ROUTES);
//! let service = poem_service(app);
//! # let _ = service;
//! # Ok::<(), tbx_service::ConfigError>(())
//! ```

mod chain;
pub mod config;
mod content_coding;
mod exit;
mod front;
pub mod guard;
pub mod health;
mod help;
mod host;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod openapi;
pub mod problem;
mod process;
mod routes;
pub mod serve;
pub mod shutdown;
mod static_file;
mod stops;
pub mod tasks;
pub mod telemetry;
mod tell;
mod tls;

pub use chain::chain;
pub use config::{Config, ConfigError, Loaded};
pub use content_coding::require_identity;
pub use exit::Failure;
pub use front::Front;
pub use guard::Guard;
pub use health::{Check, Health, Status, watch_state};
pub use host::host_main;
pub use metrics::{Metrics, Sample};
pub use problem::{FieldFault, Problem, Problems, RequestTrace, current_trace};
pub use process::{Process, ProcessError};
pub use routes::{RouteInfo, RouteTable};
pub use serve::{
    BodyLimit, Listener, PeerAddr, PoemService, ServeError, ServeOptions, UpgradeHandle, poem_service, serve,
};
pub use shutdown::ShutdownSignal;
pub use static_file::StaticFile;
pub use stops::{CLOSING, Stops, then_drop};
pub use tasks::Tasks;
pub use telemetry::{Telemetry, TelemetryError};
pub use tell::tell;
pub use tls::install_crypto;
