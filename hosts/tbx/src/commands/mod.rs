//! The admin commands.

pub(crate) mod migrate;
pub(crate) mod seed;
pub(crate) mod separate;
