//! The backends of `tbx-store` against their contracts.

mod database;
mod inbox;
mod outbox;
mod relay;
mod students;
mod support;
