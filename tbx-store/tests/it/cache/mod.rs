//! The tiers of the cache.

mod memory;
mod outage;
mod redis;
mod students;

use std::time::Duration;

use tbx_services::{Keyspace, Relay};
use tbx_store::cache::{Cache, CacheVersion, Cached, RedisCache};

const DEADLINE: Duration = Duration::from_secs(60);

/// How long a call may take here: a busy machine is slower than what is tested needs to be.
const PATIENCE: Duration = Duration::from_secs(2);

fn cache(url: &str, keyspace: &Keyspace) -> RedisCache {
    RedisCache::with_timeout(url, keyspace.prefix(), PATIENCE).unwrap()
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
