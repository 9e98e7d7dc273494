//! What every cache does, one named test for each.
//!
//! ```text
//! tbx_store::cache_conformance! {
//!     test: #[tokio::test],
//!     cache: my_cache().await,
//! }
//! ```
//!
//! `cache` gives a pair: an empty cache, and whatever keeps its place until the end of the test.

use bytes::Bytes;

use crate::cache::{Cache, CacheVersion, Cached};

fn entry(version: (u64, u64), text: &'static str) -> Cached {
    Cached { version: CacheVersion(version.0, version.1), value: Some(Bytes::from_static(text.as_bytes())) }
}

/// Nothing comes from nothing.
pub async fn what_was_not_put_is_absent(cache: &impl Cache) {
    assert_eq!(cache.get("a").await.unwrap(), None);
}

/// Bytes of any kind, and keys of any kind.
pub async fn an_entry_is_read_as_it_was_put_under_its_own_key(cache: &impl Cache) {
    let bytes: Vec<u8> = (0..=255).collect();
    let odd = Cached { version: CacheVersion(u64::MAX, 7), value: Some(bytes.into()) };
    let empty = Cached { version: CacheVersion(0, 0), value: Some(Bytes::new()) };
    assert!(cache.put("odd \u{e9} key", odd.clone()).await.unwrap());
    assert!(cache.put("empty", empty.clone()).await.unwrap());
    assert_eq!(cache.get("odd \u{e9} key").await.unwrap(), Some(odd));
    assert_eq!(cache.get("empty").await.unwrap(), Some(empty));
    assert_eq!(cache.get("odd").await.unwrap(), None);
}

/// The past stays past; the first number decides, then the second.
pub async fn only_a_newer_version_replaces_an_entry(cache: &impl Cache) {
    for (version, text, newer) in [
        ((2, 5), "first", true),
        ((2, 5), "the same again", false),
        ((2, 4), "older by its second number", false),
        ((1, 9), "older by its first number", false),
        ((2, 10), "newer by its second number", true),
        ((10, 0), "newer by its first number", true),
    ] {
        assert_eq!(cache.put("k", entry(version, text)).await.unwrap(), newer, "{text}");
    }
    assert_eq!(cache.get("k").await.unwrap(), Some(entry((10, 0), "newer by its first number")));
}

/// Who is gone does not come back through a slow writer.
pub async fn a_tombstone_keeps_older_versions_out(cache: &impl Cache) {
    cache.put("k", entry((3, 0), "alive")).await.unwrap();
    let gone = Cached { version: CacheVersion(u64::MAX, u64::MAX), value: None };
    assert!(cache.put("k", gone.clone()).await.unwrap());
    assert!(!cache.put("k", entry((4, 0), "late")).await.unwrap());
    assert_eq!(cache.get("k").await.unwrap(), Some(gone));
}

/// Whoever writes when.
pub async fn of_concurrent_puts_the_newest_stays(cache: &(impl Cache + Clone + 'static)) {
    let mut tasks = tokio::task::JoinSet::new();
    for version in 0..64 {
        let cache = cache.clone();
        tasks.spawn(async move { cache.put("k", entry((version * 37 % 64, 0), "x")).await.unwrap() });
    }
    while let Some(put) = tasks.join_next().await {
        put.unwrap();
    }
    assert_eq!(cache.get("k").await.unwrap().map(|entry| entry.version), Some(CacheVersion(63, 0)));
}

/// Whoever stops waiting for a put does not read the past afterwards.
pub async fn a_put_that_was_dropped_leaves_nothing_older(cache: &impl Cache) {
    for version in 1..50 {
        cache.put("k", entry((version, 0), "before")).await.unwrap();
        tokio::select! {
            biased;
            _ = cache.put("k", entry((version, 1), "after")) => {}
            () = std::future::ready(()) => {}
        }
        let read = cache.get("k").await.unwrap();
        assert!(read.is_none_or(|entry| entry.version == CacheVersion(version, 1)), "{version}");
    }
}

/// Stamps one test per behaviour; see [`conformance::cache`](crate::conformance::cache).
#[macro_export]
macro_rules! cache_conformance {
    (test: #[$test:meta], cache: $cache:expr $(,)?) => {
        $crate::cache_conformance! { @stamp #[$test] $cache;
            what_was_not_put_is_absent,
            an_entry_is_read_as_it_was_put_under_its_own_key,
            only_a_newer_version_replaces_an_entry,
            a_tombstone_keeps_older_versions_out,
            of_concurrent_puts_the_newest_stays,
            a_put_that_was_dropped_leaves_nothing_older,
        }
    };
    (@stamp #[$test:meta] $cache:expr; $($case:ident,)*) => {
        $(
            #[$test]
            async fn $case() {
                let (cache, _place) = $cache;
                $crate::conformance::cache::$case(&cache).await;
            }
        )*
    };
}
