//! The admin commands.

mod ask;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod healthcheck;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod seed;
pub(crate) mod separate;
