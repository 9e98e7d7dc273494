//! Errors as problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
//!
//! A handler fails with a [`Problem`]; [`Problems`] makes one of everything else that goes wrong, and
//! [`RequestTrace`] gives each the id of its trace. The `type` of a problem leads to a page about its
//! code, see [`mount_problem_pages`].

mod catalogue;
mod codes;
mod convert;
mod document;
mod layer;
mod pages;
mod trace;

pub use catalogue::{PROBLEM_CODES, ProblemCode};
pub use convert::sentence;
pub use document::{CONTENT_TYPE, FieldFault, Problem};
pub(crate) use layer::panic_text;
pub use layer::{Problems, ProblemsEndpoint};
pub use pages::mount_problem_pages;
pub(crate) use trace::name_after_route;
pub use trace::{RequestTrace, RequestTraceEndpoint, current_trace};
