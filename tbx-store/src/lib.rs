#![doc = include_str!("../README.md")]

#[cfg(feature = "cache")]
pub mod cache;
mod error;
pub mod outbox;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "students")]
pub mod students;

pub use error::{StoreError, StoreErrorKind};
