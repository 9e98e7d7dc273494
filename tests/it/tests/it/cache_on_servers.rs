//! Redis as the cache: what ends a start, and what health says of an outage.

use tbx_it::{Client, Places, Tbx, eventually};
use tbx_services::{Relay, with_credentials};

use crate::support::refused;

async fn cache_is(host: &Tbx, service: &str, wanted: &str) -> Result<(), String> {
    let health =
        Client::new(host.address(service)).get("/health").await.map_err(|error| error.to_string())?;
    if health.json()["checks"]["cache"]["status"] == wanted { Ok(()) } else { Err(health.json().to_string()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_lets_nobody_in_ends_the_start_with_the_remedy() {
    let places = Places::new().await;
    let wrong = with_credentials(&places.keyspace.url(), None, "wrong");
    for host in ["api", "worker"] {
        let (code, said) = refused(&places.setup().with("TBX_CACHE_URL", &wrong), host).await;
        assert_eq!(code, Some(1), "{said}");
        for text in ["TBX_CACHE_URL", "user and password", "correct them"] {
            assert!(said.contains(text), "{text}: {said}");
        }
        assert!(!said.contains("wrong@") && !said.contains("history"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_away_keeps_no_host_from_starting_and_is_a_warning_until_it_is_back() {
    let places = Places::new().await;
    let relay = Relay::start(places.keyspace.address()).await;
    relay.refuse();
    let setup = places.setup().with("TBX_CACHE_URL", &places.keyspace.url_through(&relay));
    for service in ["api", "worker"] {
        let host = setup.start_host(service).await;
        assert!(host.log().contains("TBX_CACHE_URL"), "the start says it:\n{}", host.log());
        eventually("health warns", || cache_is(&host, service, "warn")).await;
        let ready = Client::new(host.address(service)).get("/health/ready").await.unwrap();
        assert_eq!(ready.status, 200);
        relay.accept();
        eventually("health passes", || cache_is(&host, service, "pass")).await;
        relay.refuse();
        relay.cut().await;
        eventually("health warns again", || cache_is(&host, service, "warn")).await;
    }
}
