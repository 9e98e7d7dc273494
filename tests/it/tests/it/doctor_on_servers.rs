//! `doctor` on servers: what is declared on the broker, and a cache that hosts of their own would refuse.

use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
use tbx_bus::{Group, Subscriber as _, TopicPattern};
use tbx_core::published::{EVENTS_CHANNEL, WORKER_GROUP};
use tbx_it::{Places, Setup};

use crate::support::examined;

async fn told_of_the_bus(setup: &Setup) -> String {
    let (_, lines) = examined(setup, &[]).await;
    lines["bus"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_otherwise_fails_as_the_start_would_and_what_is_missing_is_fine() {
    let places = Places::new().await;
    let setup = places.migrated().await;
    let told = told_of_the_bus(&setup).await;
    assert!(
        told.starts_with("ok") && told.contains("no plugin is needed, the first start declares"),
        "{told}"
    );
    setup.start_host("worker").await.kill().await;
    let told = told_of_the_bus(&setup).await;
    assert!(told.starts_with("ok") && told.contains("queues as the hosts declare them"), "{told}");

    places.vhost.delete_queue(WORKER_GROUP);
    let rabbit = RabbitMq::start(RabbitOptions::new(&places.vhost.url()).unwrap());
    let other = Group::new(WORKER_GROUP, [TopicPattern::new("order.*").unwrap()]).with_single_active();
    rabbit.bus(Exchange::new(EVENTS_CHANNEL).unwrap()).declare(&other).await.unwrap();
    rabbit.close().await;
    let told = told_of_the_bus(&setup).await;
    assert!(told.starts_with("fail"), "{told}");
    for text in ["`tbx.worker`", "order.*", "declare it anew"] {
        assert!(told.contains(text), "{text}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_in_memory_beside_servers_warns_that_hosts_of_their_own_refuse_it() {
    let places = Places::new().await;
    let setup = places.migrated().await.with("TBX_CACHE_URL", "memory:");
    let (code, lines) = examined(&setup, &[]).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(lines["cache"].starts_with("warn") && lines["cache"].contains("redis://"), "{}", lines["cache"]);
}
