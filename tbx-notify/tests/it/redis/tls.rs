//! Redis by TLS: who is believed, and what is said when somebody is not.

use std::time::Duration;

use tbx_notify::history::{History, HistoryError, RedisHistory, RedisHistoryOptions, Retention};
use tbx_services::{Authority, Keyspace, TlsRelay};
use tempfile::TempDir;

use crate::support::notification;

/// A Redis behind TLS, as long as this lives.
struct Places(
    Keyspace,
    #[expect(dead_code, reason = "kept")] TlsRelay,
    #[expect(dead_code, reason = "kept")] TempDir,
);

/// Opens a history behind a certificate for `name`, whose authority is trusted or not.
async fn open(name: &str, trusted: bool) -> (Places, Result<RedisHistory, HistoryError>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (keys, authority, folder) = (Keyspace::new(), Authority::new(), tempfile::tempdir().unwrap());
    let relay = TlsRelay::start(keys.address(), &authority, name).await;
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let url = keys.url().replacen("redis://", "rediss://", 1).replacen(
        &keys.address().to_string(),
        &relay.address().to_string(),
        1,
    );
    let url = if trusted { format!("{url}?cacertfile={}", file.display()) } else { url };
    let retention = Retention { max_count: 100, max_age: Duration::from_secs(3600) };
    let history =
        RedisHistory::open(RedisHistoryOptions::new(url, retention).with_prefix(keys.prefix())).await;
    (Places(keys, relay, folder), history)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_whose_authority_is_trusted_is_believed() {
    let (_places, history) = open("127.0.0.1", true).await;
    let history = history.unwrap();
    let appended = history.append(notification("a", "x")).await.unwrap();
    assert!(appended.is_new);
    history.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_with_a_foreign_certificate_is_refused_for_good_with_a_remedy() {
    for (name, trusted, remedy) in
        [("127.0.0.1", false, "cacertfile=FILE"), ("elsewhere.example", true, "for another name")]
    {
        let (places, history) = open(name, trusted).await;
        let error = history.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert!(error.to_string().contains(remedy), "{error}");
        assert!(!error.to_string().contains(places.0.url().split('@').next().unwrap()), "{error}");
    }
}
