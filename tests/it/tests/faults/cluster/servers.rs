//! Servers that end and come back.

use std::time::Duration;

use tbx_it::Server;

use super::survive;
use super::system::System;

/// How long a server is away.
const AWAY: Duration = Duration::from_secs(1);

pub(super) async fn end(system: &System, server: Server, at_once: bool) {
    if at_once {
        system.servers.kill(server).await;
    } else {
        system.servers.stop(server).await;
    }
    tokio::time::sleep(AWAY).await;
    system.servers.start(server).await;
}

async fn goes_away(server: Server, at_once: bool) {
    let how = if at_once { "kill -9" } else { "SIGTERM" };
    let name = format!("{how} of {}", server.name());
    survive(&name, &[server], async |system, server| end(system, server, at_once).await).await;
}

macro_rules! goes_away {
    ($($name:ident: $server:ident, $at_once:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                goes_away(Server::$server, $at_once).await;
            }
        )*
    };
}

goes_away! {
    killing_rabbitmq_loses_and_repeats_nothing: RabbitMq, true;
    stopping_rabbitmq_loses_and_repeats_nothing: RabbitMq, false;
    killing_redis_loses_and_repeats_nothing: Redis, true;
    stopping_redis_loses_and_repeats_nothing: Redis, false;
    killing_postgresql_loses_and_repeats_nothing: Postgres, true;
    stopping_postgresql_loses_and_repeats_nothing: Postgres, false;
}
