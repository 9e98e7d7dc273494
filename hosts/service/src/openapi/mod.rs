//! What the OpenAPI documents of the hosts have in common: how every request can be refused.

mod operations;
mod refusals;

pub use operations::each_operation;
pub use refusals::add_refusals;
