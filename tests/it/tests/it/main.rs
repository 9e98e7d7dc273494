//! What is seen from outside, tested from outside: the real binary, real sockets, a folder and free ports for each test.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod commands;
mod conditions;
mod crowd;
mod dead_letters;
mod doctor;
mod documents;
mod embedding;
mod front;
mod health;
mod hostile;
mod listing;
mod publish;
mod repeating;
mod servers;
mod shutdown;
mod stream;
mod students;
mod subscribing;
mod support;
mod telemetry;
