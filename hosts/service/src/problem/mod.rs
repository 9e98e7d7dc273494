//! Errors as problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
//!
//! A handler fails with a [`Problem`]; [`Problems`] makes one of everything else that goes wrong, and
//! [`RequestTrace`] gives each the id of its trace.

mod codes;
mod convert;
mod document;
mod layer;
mod trace;

pub use document::{CONTENT_TYPE, FieldFault, Problem};
pub(crate) use layer::panic_text;
pub use layer::{Problems, ProblemsEndpoint};
pub use trace::{RequestTrace, RequestTraceEndpoint, current_trace};
