//! Where the history stands, for those who only ask that.

use std::sync::Arc;

use tbx_notify::history::{History, RedisHead, Retention};
use tbx_service::config::HistoryUrl;
use tbx_service::{Config, chain};

use crate::OpenError;
use crate::history::{SETTING, redis_options};

/// Where the history of notifications stands. A clone asks the same.
#[derive(Clone)]
pub struct HistoryHead(Kind);

#[derive(Clone)]
enum Kind {
    /// In this process.
    Here(Arc<dyn History>),
    /// On a server.
    Redis(Arc<RedisHead>),
}

impl HistoryHead {
    /// The head of the history that all processes share; `None` when each notifier has its own.
    ///
    /// # Errors
    ///
    /// When its URL cannot be used.
    pub fn shared(config: &Config) -> Result<Option<Self>, OpenError> {
        let HistoryUrl::Redis(url) = &config.history_url else { return Ok(None) };
        let head = RedisHead::new(&redis_options(SETTING, url, Retention::default())?);
        let head = head.map_err(|error| OpenError::unusable(SETTING, error))?;
        Ok(Some(Self(Kind::Redis(Arc::new(head)))))
    }

    pub(crate) fn here(history: Arc<dyn History>) -> Self {
        Self(Kind::Here(history))
    }

    /// The position of the newest notification; `None` when that cannot be found out now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn read(&self) -> Option<String> {
        match &self.0 {
            Kind::Here(history) => Some(history.bounds().head().to_string()),
            Kind::Redis(head) => match head.read().await {
                Ok(position) => position.map(|position| position.to_string()),
                Err(error) => {
                    tracing::debug!(error = chain(&error), "head of the history not known");
                    None
                }
            },
        }
    }
}

impl std::fmt::Debug for HistoryHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HistoryHead")
    }
}
