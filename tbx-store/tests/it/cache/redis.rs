//! The tier in Redis.

use std::time::{Duration, Instant};

use tbx_services::{Authority, Keyspace, Relay, TlsRelay};
use tbx_store::cache::{Cache, RedisCache};

use super::{DEADLINE, PATIENCE, back, cache, entry, read_again, two};

fn own() -> (RedisCache, Keyspace) {
    let keyspace = Keyspace::new();
    (cache(&keyspace.url(), &keyspace), keyspace)
}

tbx_store::cache_conformance! {
    test: #[tokio::test(flavor = "multi_thread")],
    cache: own(),
}

#[tokio::test]
async fn two_processes_share_entries() {
    let keyspace = Keyspace::new();
    let [(one, _relay), (other, _other_relay)] = two(&keyspace).await;
    one.put("k", entry(2)).await.unwrap();
    assert!(!other.put("k", entry(1)).await.unwrap());
    assert_eq!(other.get("k").await.unwrap(), Some(entry(2)));
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_wait_and_then_none() {
    let keyspace = Keyspace::new();
    let relay = Relay::start(keyspace.address()).await;
    let cache = cache(&keyspace.url_through(&relay), &keyspace);
    cache.put("k", entry(1)).await.unwrap();
    relay.hold();
    let began = Instant::now();
    assert!(cache.get("k").await.is_err());
    assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    assert!(!cache.is_available());
    let began = Instant::now();
    for _ in 0..100 {
        assert!(cache.get("k").await.is_err());
    }
    assert!(began.elapsed() < PATIENCE, "none of them waited: {:?}", began.elapsed());
    relay.release();
    back(&cache).await;
    assert_eq!(read_again(&cache, "k").await, entry(1));
}

/// A cache behind TLS with a certificate for `name`, reached by who trusts its authority, or that of somebody else.
async fn encrypted(name: &str, trusted: bool) -> (RedisCache, (Keyspace, TlsRelay, tempfile::TempDir)) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (keyspace, authority, folder) = (Keyspace::new(), Authority::new(), tempfile::tempdir().unwrap());
    let relay = TlsRelay::start(keyspace.address(), &authority, name).await;
    let file = folder.path().join("authority.pem");
    let believed = if trusted { authority } else { Authority::new() };
    std::fs::write(&file, believed.pem()).unwrap();
    let url = keyspace.url().replacen("redis://", "rediss://", 1).replacen(
        &keyspace.address().to_string(),
        &relay.address().to_string(),
        1,
    );
    let cache = cache(&format!("{url}?cacertfile={}", file.display()), &keyspace);
    (cache, (keyspace, relay, folder))
}

/// Asks until the error says what to do; a busy machine may be too slow for a handshake at first.
async fn is_told(cache: &RedisCache, remedy: &str) {
    let told = async {
        loop {
            let error = cache.ping().await.unwrap_err();
            if std::error::Error::source(&error).unwrap().to_string().contains(remedy) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.expect("told in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_reached_by_tls_when_its_authority_is_trusted() {
    let (cache, _places) = encrypted("127.0.0.1", true).await;
    back(&cache).await;
    assert!(cache.put("k", entry(1)).await.unwrap());
    assert_eq!(cache.get("k").await.unwrap(), Some(entry(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_with_a_certificate_that_is_not_accepted_is_refused_with_a_remedy() {
    let (unknown, _places) = encrypted("127.0.0.1", false).await;
    is_told(&unknown, "cacertfile=FILE").await;
    let (misnamed, _places) = encrypted("elsewhere.example", true).await;
    is_told(&misnamed, "for another name").await;
}

#[tokio::test]
async fn a_redis_that_was_away_is_used_again() {
    let keyspace = Keyspace::new();
    let relay = Relay::start(keyspace.address()).await;
    relay.refuse();
    let cache = cache(&keyspace.url_through(&relay), &keyspace);
    assert!(cache.put("k", entry(1)).await.is_err());
    relay.accept();
    back(&cache).await;
    relay.cut().await;
    back(&cache).await;
    assert!(cache.put("k", entry(2)).await.unwrap());
}
