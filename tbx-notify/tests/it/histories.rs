//! Every history passes the suite.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tbx_notify::conformance::Harness;
use tbx_notify::history::{
    History, MemoryHistory, RedisHistory, RedisHistoryOptions, Retention, SqliteHistory,
};
use tbx_services::Keyspace;

const RETENTION: Retention = Retention { max_count: 10, max_age: Duration::from_secs(3600) };

#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + self.0.load(Ordering::SeqCst))
    }

    fn clock(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
        let hands = self.clone();
        move || hands.now()
    }

    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

mod memory {
    use super::*;

    struct Memory {
        hands: Hands,
        history: Arc<MemoryHistory>,
    }

    #[async_trait]
    impl Harness for Memory {
        fn history(&self) -> Arc<dyn History> {
            self.history.clone()
        }

        fn advance(&mut self, by: Duration) {
            self.hands.advance(by);
        }

        fn is_durable(&self) -> bool {
            false
        }

        async fn reopen(&mut self) {
            self.history = Arc::new(MemoryHistory::new(RETENTION).with_clock(self.hands.clock()));
        }
    }

    async fn memory() -> Memory {
        let hands = Hands::default();
        let history = Arc::new(MemoryHistory::new(RETENTION).with_clock(hands.clock()));
        Memory { hands, history }
    }

    tbx_notify::history_conformance!(memory());
}

mod sqlite {
    use super::*;

    struct Sqlite {
        hands: Hands,
        path: PathBuf,
        history: Arc<SqliteHistory>,
        _folder: tempfile::TempDir,
    }

    #[async_trait]
    impl Harness for Sqlite {
        fn history(&self) -> Arc<dyn History> {
            self.history.clone()
        }

        fn advance(&mut self, by: Duration) {
            self.hands.advance(by);
        }

        fn is_durable(&self) -> bool {
            true
        }

        async fn reopen(&mut self) {
            self.history.close().await;
            self.history = open(&self.path, &self.hands).await;
        }
    }

    async fn open(path: &std::path::Path, hands: &Hands) -> Arc<SqliteHistory> {
        Arc::new(SqliteHistory::open_with_clock(path, RETENTION, hands.clock()).await.unwrap())
    }

    async fn sqlite() -> Sqlite {
        let folder = tempfile::tempdir().unwrap();
        let (path, hands) = (folder.path().join("history.db"), Hands::default());
        let history = open(&path, &hands).await;
        Sqlite { hands, path, history, _folder: folder }
    }

    tbx_notify::history_conformance!(sqlite());

    #[tokio::test]
    async fn a_second_owner_of_the_file_is_refused_with_a_remedy() {
        let harness = sqlite().await;
        let error = SqliteHistory::open(&harness.path, RETENTION).await.unwrap_err();
        assert!(error.to_string().contains("another process uses"), "{error}");
    }
}

mod redis {
    use super::*;

    struct Redis {
        hands: Hands,
        keys: Keyspace,
        history: Arc<RedisHistory>,
    }

    #[async_trait]
    impl Harness for Redis {
        fn history(&self) -> Arc<dyn History> {
            self.history.clone()
        }

        fn advance(&mut self, by: Duration) {
            self.hands.advance(by);
        }

        fn is_durable(&self) -> bool {
            true
        }

        async fn reopen(&mut self) {
            self.history.close().await;
            self.history = open(&self.keys, &self.hands).await;
        }
    }

    async fn open(keys: &Keyspace, hands: &Hands) -> Arc<RedisHistory> {
        let options = RedisHistoryOptions::new(keys.url(), RETENTION).with_prefix(keys.prefix());
        Arc::new(RedisHistory::open_with_clock(options, hands.clock()).await.unwrap())
    }

    async fn redis() -> Redis {
        let (keys, hands) = (Keyspace::new(), Hands::default());
        let history = open(&keys, &hands).await;
        Redis { hands, keys, history }
    }

    tbx_notify::history_conformance!(redis());
}
