#![doc = include_str!("../README.md")]

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dead_letter;
mod error;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod housekeeping;
pub mod idempotency;
pub mod outbox;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod record;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "students")]
pub mod students;

pub use error::{StoreError, StoreErrorKind};
