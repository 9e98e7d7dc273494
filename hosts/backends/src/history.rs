//! Notifications for clients that come back.

use std::path::Path;
use std::sync::Arc;

use tbx_notify::history::{
    History, HistoryError, MemoryHistory, RedisFacts, RedisHead, RedisHistory, RedisHistoryOptions,
    Retention, SqliteHistory,
};
use tbx_service::config::{HistoryUrl, SecretUrl};
use tbx_service::health::probe;
use tbx_service::{Config, Process, chain};

use crate::patience::{Opening, patiently};
use crate::{HistoryHead, OpenError};

pub(crate) const SETTING: &str = "TBX_HISTORY_URL";

/// The history of notifications. A clone is the same.
#[derive(Debug, Clone)]
pub enum OpenHistory {
    /// A file that this process owns.
    Sqlite(Arc<SqliteHistory>),
    /// Within the process.
    Memory(Arc<MemoryHistory>),
    /// Shared with others.
    Redis(Arc<RedisHistory>),
}

impl OpenHistory {
    /// Opens the history, creating and migrating it as needed.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the cause names what to do.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves whole migrations.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let retention = Retention { max_count: config.history_max_count, max_age: config.history_max_age };
        match &config.history_url {
            HistoryUrl::Sqlite(path) => Self::open_file(path, retention).await,
            HistoryUrl::Memory => Ok(Self::Memory(Arc::new(MemoryHistory::new(retention)))),
            HistoryUrl::Redis(url) => {
                let options = redis_options(SETTING, url, retention)?;
                let history = patiently(SETTING, || RedisHistory::open(options.clone())).await?;
                // Good enough to begin with; whoever runs it should know what it costs.
                let complaints = RedisFacts::of(&options).await.map(|facts| facts.complaints());
                for complaint in complaints.unwrap_or_default() {
                    tracing::warn!(setting = SETTING, complaint, "redis is not set up as it should be");
                }
                Ok(Self::Redis(Arc::new(history)))
            }
        }
    }

    async fn open_file(path: &Path, retention: Retention) -> Result<Self, OpenError> {
        let opened = SqliteHistory::open(path, retention).await;
        let history = opened.map_err(|error| OpenError::of(SETTING)(error.into()))?;
        Ok(Self::Sqlite(Arc::new(history)))
    }

    /// The history.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn History> {
        match self {
            Self::Sqlite(history) => Arc::clone(history) as Arc<dyn History>,
            Self::Memory(history) => Arc::clone(history) as Arc<dyn History>,
            Self::Redis(history) => Arc::clone(history) as Arc<dyn History>,
        }
    }

    /// Where it stands, for those who only ask that.
    #[must_use]
    pub fn head(&self) -> HistoryHead {
        HistoryHead::here(self.shared())
    }

    /// Starts to look after it: the check `history`.
    pub fn watch(&self, process: &Process) {
        let history = self.shared();
        let look = move || {
            let history = Arc::clone(&history);
            async move { history.check().await.map_err(|error| chain(&error)) }
        };
        let Process { health, tasks, stops, .. } = process;
        tasks.spawn("history health", probe(health.register("history"), stops.watchers.clone(), look));
    }

    /// Stores what was appended, and closes it.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it closing by itself.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(history) => history.close().await,
            Self::Memory(_) => {}
            Self::Redis(history) => history.close().await,
        }
    }
}

/// How the Redis at the URL of `setting` is reached.
pub(crate) fn redis_options(
    setting: &'static str,
    url: &SecretUrl,
    retention: Retention,
) -> Result<RedisHistoryOptions, OpenError> {
    let options = RedisHistoryOptions::new(url.reveal(), retention);
    // It reads the address, and connects to nothing.
    match RedisHead::new(&options) {
        Ok(_) => Ok(options),
        Err(error) => Err(OpenError::unusable(setting, error)),
    }
}

impl Opening for HistoryError {
    fn may_pass(&self) -> bool {
        self.is_retryable()
    }
}
