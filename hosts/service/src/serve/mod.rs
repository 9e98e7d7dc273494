//! The HTTP/1.1 loop: accept, serve, drain.
//!
//! | Threat | Answer |
//! |---|---|
//! | too many connections | a slot per socket, upgraded ones included; when all are taken nothing is accepted until one leaves |
//! | no file descriptors left | accept pauses, 10 ms doubling to 1 s, and says so |
//! | a head that never ends, an idle keep-alive | closed after the header timeout |
//! | a body that never ends | an error for its reader after 30 s without a byte ([`poem_service`]) |
//! | a client that does not read | closed once a write has been pending for the write timeout |
//! | what is no HTTP, a head of more than 64 KiB or 100 headers | 400, 414 or 431 and the end, from hyper itself and so without a problem document |
//! | a stop that never comes to its end | the drain has a deadline, after it connections are cut |

mod accept;
mod body_idle;
mod body_limit;
mod connection;
mod extensions;
mod listener;
mod options;
mod poem_service;
mod socket;

pub use accept::serve;
pub use body_limit::{BodyLimit, BodyLimitEndpoint};
pub(crate) use extensions::OwnAddr;
pub use extensions::{PeerAddr, UpgradeHandle};
pub use listener::{Listener, ServeError};
pub use options::ServeOptions;
pub use poem_service::{PoemService, ResponseBody, poem_service};
