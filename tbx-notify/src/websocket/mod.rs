//! WebSocket, as a tower service generic over the request body.
//!
//! ```
//! use std::sync::Arc;
//! use tbx_notify::history::MemoryHistory;
//! use tbx_notify::hub::{Hub, HubOptions};
//! use tbx_notify::websocket::WebSocketService;
//!
//! let hub = Hub::new(Arc::new(MemoryHistory::default()), HubOptions::default());
//! let service = WebSocketService::new(hub); // mount it in axum, poem or hyper; see the module `upgrade`
//! ```
//!
//! # Protocol
//!
//! Text messages with JSON. The query has `topics` (patterns, separated by commas or repeated; none given is everything, an empty one is nothing
//! yet), `after` (a position to resume after) and `from=oldest`.
//!
//! | from the server | when |
//! |---|---|
//! | `{"type":"connected","clientId","position"}` | first; the position that the stream starts after |
//! | `{"type":"notification","position","topic","event","data"}` | with `"replay":true` for what was there before it was asked for |
//! | `{"type":"gap","reason","requested","oldest","newest","position"}` | something may have been missed; it goes on after `position` |
//! | `{"type":"subscribed","topics","position"}` | answers `subscribe` and `unsubscribe`: all topics from now on, and where to resume without missing any of them |
//! | `{"type":"checkpoint","position"}` | every 15 s of silence; nothing of interest lies before it |
//! | `{"type":"error","code","message"}` | what was asked for was not done; the connection stays |
//! | `{"type":"pong"}` | answers `ping` |
//!
//! | from the client | what it does |
//! |---|---|
//! | `{"type":"subscribe","topics":["a.*"],"after"?}` | more topics, from here on or from a position on |
//! | `{"type":"unsubscribe","topics":["a.*"]}` | fewer topics |
//! | `{"type":"ping"}` | asks for a sign of life |
//!
//! A client that comes back resumes with the `position` of the last message that had one. [`CloseCode`] says what each close code asks of it.
//!
//! # The socket alone
//!
//! [`accept`] and [`WebSocket`] are what the service runs on, for protocols of your own: checked by the Autobahn suite, 1 KiB of buffers while
//! idle, and frames that many connections share.

mod close;
mod command;
pub(crate) mod encode;
mod handshake;
mod origin;
mod pace;
mod replay;
mod service;
mod session;
mod socket;
mod subscriptions;

pub use close::CloseCode;
pub use handshake::{Accepted, accept};
pub use origin::Origins;
pub use service::WebSocketService;
pub use socket::{Frame, Message, SocketError, WebSocket, WebSocketOptions};
