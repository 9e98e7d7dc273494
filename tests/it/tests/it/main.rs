//! What is seen from outside, tested from outside: the real binary, real sockets, a folder and free ports for each test.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod admin;
mod audit;
mod bad_input;
mod cache_on_servers;
mod commands;
mod conditions;
mod crowd;
mod dead_letters;
mod dead_letters_on_servers;
mod doctor;
mod doctor_on_servers;
mod documents;
mod embedding;
mod front;
mod gauges;
mod health;
mod hostile;
mod letters;
mod listing;
mod publish;
mod repeating;
mod server_settings;
mod servers;
mod shutdown;
mod stream;
mod students;
mod subscribing;
mod support;
mod telemetry;
