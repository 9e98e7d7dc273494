//! The histories against their contract, the hub and the event stream from outside.

mod bridge;
mod histories;
mod hub;
mod sse;
mod support;
