//! What other crates see of this one.

mod memory;
mod published;
mod types;
