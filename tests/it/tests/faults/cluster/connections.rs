//! Connections that break, or go silent.

use std::time::Duration;

use tbx_it::Server;

use super::survive;
use super::system::System;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cutting_every_connection_loses_and_repeats_nothing() {
    survive("every connection cut", &Server::ALL, async |system, server| cut(system, server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_go_silent_lose_and_repeat_nothing() {
    let name = "every connection silent for 3 s";
    survive(name, &Server::ALL, async |system, server| silence(system, server).await).await;
}

pub(super) async fn cut(system: &System, server: Server) {
    system.relay(server).cut().await;
}

pub(super) async fn silence(system: &System, server: Server) {
    system.relay(server).hold();
    tokio::time::sleep(Duration::from_secs(3)).await;
    system.relay(server).release();
}
