//! The tiers of the cache.

mod memory {
    use tbx_store::cache::MemoryCache;

    tbx_store::cache_conformance! {
        test: #[tokio::test(flavor = "multi_thread")],
        cache: (MemoryCache::new(1 << 20), ()),
    }
}

mod redis {
    use std::time::{Duration, Instant};

    use tbx_services::{Authority, Keyspace, Relay, TlsRelay};
    use tbx_store::cache::{Cache, CacheVersion, Cached, RedisCache};

    const DEADLINE: Duration = Duration::from_secs(20);

    fn cache(url: &str, keyspace: &Keyspace) -> RedisCache {
        RedisCache::new(url, keyspace.prefix()).unwrap()
    }

    fn own() -> (RedisCache, Keyspace) {
        let keyspace = Keyspace::new();
        (cache(&keyspace.url(), &keyspace), keyspace)
    }

    tbx_store::cache_conformance! {
        test: #[tokio::test(flavor = "multi_thread")],
        cache: own(),
    }

    fn entry(version: u64) -> Cached {
        Cached { version: CacheVersion(version, 0), value: Some("x".into()) }
    }

    async fn back(cache: &RedisCache) {
        let answering = async {
            while cache.ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, answering).await.expect("back in time");
        assert!(cache.is_available());
    }

    /// Asks until the cache is read again.
    async fn read_again(cache: &RedisCache, key: &str) -> Cached {
        let reading = async {
            loop {
                if let Ok(Some(entry)) = cache.get(key).await {
                    return entry;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("read again in time")
    }

    /// Two processes that have begun, each through a relay of its own.
    async fn two(keyspace: &Keyspace) -> [(RedisCache, Relay); 2] {
        let mut both = Vec::new();
        for _ in 0..2 {
            let relay = Relay::start(keyspace.address()).await;
            let cache = cache(&keyspace.url_through(&relay), keyspace);
            cache.ping().await.unwrap();
            both.push((cache, relay));
        }
        both.try_into().unwrap_or_else(|_| unreachable!())
    }

    #[tokio::test]
    async fn what_could_not_be_put_leaves_nothing_older_to_whoever_failed() {
        let keyspace = Keyspace::new();
        let [(one, relay), _] = two(&keyspace).await;
        one.put("k", entry(1)).await.unwrap();
        relay.hold();
        assert!(one.put("k", entry(2)).await.is_err());
        // This one is not even tried.
        assert!(one.put("other", entry(2)).await.is_err());
        relay.release();
        let reading = async {
            loop {
                match one.get("k").await {
                    Ok(Some(read)) => break assert_eq!(read, entry(2)),
                    Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("read again in time");
        assert_eq!(one.get("other").await.unwrap(), Some(entry(2)));
    }

    #[tokio::test]
    async fn what_one_process_could_not_put_the_others_read_as_soon_as_it_is_back() {
        let keyspace = Keyspace::new();
        let [(one, relay), (other, _relay)] = two(&keyspace).await;
        one.put("k", entry(1)).await.unwrap();
        assert_eq!(other.get("k").await.unwrap(), Some(entry(1)));
        relay.refuse();
        relay.cut().await;
        assert!(one.put("k", entry(2)).await.is_err());
        relay.accept();
        // Nobody asks it for anything.
        let keeping = tokio::spawn({
            let one = one.clone();
            async move { one.keep_up().await }
        });
        let made_up = async {
            while other.get("k").await.unwrap() != Some(entry(2)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, made_up).await.expect("made up for in time");
        keeping.abort();
    }

    #[tokio::test]
    async fn whoever_could_not_put_too_much_leaves_nothing_to_anybody() {
        let keyspace = Keyspace::new();
        let [(one, relay), (other, _relay)] = two(&keyspace).await;
        let gone = Cached { version: CacheVersion(u64::MAX, u64::MAX), value: None };
        one.put("k", entry(1)).await.unwrap();
        one.put("kept", entry(3)).await.unwrap();
        relay.hold();
        assert!(one.put("k", gone).await.is_err());
        for number in 0..1_000 {
            assert!(one.put(&format!("other {number}"), entry(2)).await.is_err());
        }
        relay.release();
        back(&one).await;
        for key in ["k", "kept", "other 1"] {
            assert_eq!(other.get(key).await.unwrap(), None, "{key}");
        }
        assert!(!other.put("kept", entry(2)).await.unwrap(), "what is not read any more keeps the past out");
        assert!(other.put("kept", entry(3)).await.unwrap(), "and is put again as it was");
        assert_eq!(other.get("kept").await.unwrap(), Some(entry(3)));
    }

    #[tokio::test]
    async fn a_process_that_begins_believes_nothing_that_is_there() {
        let (one, keyspace) = own();
        let other = cache(&keyspace.url(), &keyspace);
        other.ping().await.unwrap();
        one.put("k", entry(1)).await.unwrap();
        // It ends with a put undone.
        drop(one);
        assert_eq!(other.get("k").await.unwrap(), Some(entry(1)));
        let next = cache(&keyspace.url(), &keyspace);
        assert_eq!(next.get("k").await.unwrap(), None);
        assert_eq!(other.get("k").await.unwrap(), None, "and nobody else does");
    }

    #[tokio::test]
    async fn processes_that_were_cut_off_together_read_nothing_until_all_had_time_to_make_up() {
        let keyspace = Keyspace::new();
        let [(one, relay), (other, relay_of_other)] = two(&keyspace).await;
        one.put("k", entry(1)).await.unwrap();
        for relay in [&relay, &relay_of_other] {
            relay.refuse();
            relay.cut().await;
        }
        assert!(one.put("k", entry(2)).await.is_err());
        assert!(other.get("k").await.is_err());
        for relay in [&relay, &relay_of_other] {
            relay.accept();
        }
        let keeping = tokio::spawn(async move { one.keep_up().await });
        // The first that it reads at all is the new one, whichever of them is back first.
        assert_eq!(read_again(&other, "k").await, entry(2));
        keeping.abort();
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
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
        assert!(!cache.is_available());
        let began = Instant::now();
        for _ in 0..100 {
            assert!(cache.get("k").await.is_err());
        }
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
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
}
