//! The memory tier.

use tbx_store::cache::MemoryCache;

tbx_store::cache_conformance! {
    test: #[tokio::test(flavor = "multi_thread")],
    cache: (MemoryCache::new(1 << 20), ()),
}
