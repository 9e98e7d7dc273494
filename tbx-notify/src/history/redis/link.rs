//! The connection that commands share, and whether there is one.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::contract::HistoryError;
use super::error::{breaks_connection, failed};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: a disk that syncs each append may be slow for a while.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a command waits for a connection before it fails.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many commands may wait to be sent before the next caller waits for a place.
const QUEUE: usize = 1_024;

/// Whether a history has a connection to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisState {
    /// It has.
    Connected,
    /// It has not, for this reason, and tries again.
    Away(Arc<str>),
    /// It was closed.
    Closed,
}

/// A connection, and the word that it is of no use any more.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) connection: MultiplexedConnection,
    pub(super) broken: CancellationToken,
}

/// What commands go through. The one who follows the stream connects it.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    session: watch::Sender<Option<Session>>,
    state: watch::Sender<RedisState>,
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        let state = watch::Sender::new(RedisState::Away("not connected yet".into()));
        Self { client, session: watch::Sender::new(None), state }
    }

    /// A connection of its own, whose answers may take as long as an answer and `longer`.
    pub(super) async fn connect(&self, longer: Duration) -> Result<MultiplexedConnection, HistoryError> {
        connect(&self.client, longer).await
    }

    pub(super) fn state(&self) -> watch::Receiver<RedisState> {
        self.state.subscribe()
    }

    pub(super) fn connected(&self, session: Session) {
        self.session.send_replace(Some(session));
        self.state.send_replace(RedisState::Connected);
    }

    /// Tells whether that is news.
    pub(super) fn away(&self, why: &str) -> bool {
        self.session.send_replace(None);
        let away = RedisState::Away(why.into());
        self.state.send_if_modified(|state| {
            let is_news = *state != away;
            *state = away;
            is_news
        })
    }

    pub(super) fn closed(&self) {
        // The state first: whoever waits for a connection looks at it when woken.
        self.state.send_replace(RedisState::Closed);
        self.session.send_replace(None);
    }

    /// The connection, if there is one now.
    pub(super) fn session(&self) -> Option<Session> {
        self.session.borrow().clone()
    }

    /// The connection, waited for a moment.
    pub(super) async fn wait(&self) -> Result<Session, HistoryError> {
        let mut sessions = self.session.subscribe();
        if let Ok(Ok(session)) = tokio::time::timeout(PATIENCE, self.wait_for_one(&mut sessions)).await
            && let Some(session) = session
        {
            return Ok(session);
        }
        Err(match &*self.state.borrow() {
            RedisState::Closed => HistoryError::new("it is closed"),
            RedisState::Away(why) => HistoryError::new(format!("redis is away: {why}")),
            RedisState::Connected => HistoryError::new("redis is away"),
        })
    }

    async fn wait_for_one(
        &self,
        sessions: &mut watch::Receiver<Option<Session>>,
    ) -> Result<Option<Session>, watch::error::RecvError> {
        let is_closed = || *self.state.borrow() == RedisState::Closed;
        sessions.wait_for(|session| session.is_some() || is_closed()).await.map(|session| session.clone())
    }
}

impl Session {
    /// An error of a command, which may mean that the connection is of no use any more.
    pub(super) fn failed(&self, context: &str, error: &RedisError) -> HistoryError {
        if breaks_connection(error) {
            self.broken.cancel();
        }
        failed(context, error)
    }
}

pub(super) async fn connect(
    client: &Client,
    longer: Duration,
) -> Result<MultiplexedConnection, HistoryError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER + longer))
        .set_pipeline_buffer_size(QUEUE);
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| {
        failed(&format!("connecting to redis at {}", client.get_connection_info().addr()), &error)
    })
}
