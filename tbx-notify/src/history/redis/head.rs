//! Where the history stands, for those who only ask that.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::super::contract::HistoryError;
use super::error::failed;
use super::options::RedisHistoryOptions;
use crate::{Epoch, Position};

/// How long an answer may take: whoever asks has a client waiting.
const ANSWER: Duration = Duration::from_millis(250);
/// After a failure nobody connects for so long, so that an outage costs callers the wait once in a while and not always.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a history in Redis stands, without following it: for a server that reads states and tells its clients from which position to stream on.
///
/// It costs one connection and keeps nothing of the history.
#[derive(Debug)]
pub struct RedisHead {
    client: Client,
    state: String,
    /// Held by who waits for a connection, until there is one or there is none: the others wait for the same.
    line: Mutex<Line>,
}

#[derive(Debug)]
enum Line {
    Connected(MultiplexedConnection),
    /// In a task of its own, which goes on when the one who waits for it is dropped.
    Connecting(AbortOnDropHandle<RedisResult<MultiplexedConnection>>),
    /// Nobody connects before then.
    Away(Instant),
}

impl RedisHead {
    /// The head of the history at the same place as a [`RedisHistory`](super::RedisHistory). Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// When the address cannot be used.
    pub fn new(options: &RedisHistoryOptions) -> Result<Self, HistoryError> {
        Ok(Self {
            client: options.client()?,
            state: options.keys()?.meta,
            line: Mutex::new(Line::Away(Instant::now())),
        })
    }

    /// The position of the newest notification; `None` while there is no history there.
    ///
    /// # Errors
    ///
    /// When Redis does not answer within half a second, or did not a moment ago.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn read(&self) -> Result<Option<Position>, HistoryError> {
        let mut connection = self.connection().await?;
        let mut command = redis::cmd("HMGET");
        command.arg(&self.state).arg("epoch").arg("newest");
        match command.query_async(&mut connection).await {
            Ok((Some(epoch), Some(newest))) => Ok(Some(Position::new(Epoch::new(epoch), newest))),
            Ok::<(Option<u64>, Option<u64>), _>(_) => Ok(None),
            Err(error) => {
                *self.line.lock().await = Line::Away(Instant::now() + PAUSE);
                Err(failed("asking for its head", &error))
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, HistoryError> {
        let mut line = self.line.lock().await;
        loop {
            match &mut *line {
                Line::Connected(connection) => return Ok(connection.clone()),
                Line::Away(until) if *until > Instant::now() => {
                    return Err(HistoryError::new("redis is away"));
                }
                Line::Away(_) => *line = Line::Connecting(self.connect()),
                Line::Connecting(attempt) => {
                    let connected = attempt.await;
                    *line = Line::Away(Instant::now() + PAUSE);
                    let connected = connected
                        .map_err(|error| HistoryError::new("connecting to redis").with_source(error))?
                        .map_err(|error| failed("connecting to redis", &error))?;
                    *line = Line::Connected(connected);
                }
            }
        }
    }

    fn connect(&self) -> AbortOnDropHandle<RedisResult<MultiplexedConnection>> {
        let client = self.client.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(ANSWER))
                .set_response_timeout(Some(ANSWER));
            client.get_multiplexed_async_connection_with_config(&config).await
        }))
    }
}
