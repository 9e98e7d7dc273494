//! Where the history stands, for those who only ask that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::time::Instant;

use super::super::contract::HistoryError;
use super::error::failed;
use super::options::RedisHistoryOptions;
use crate::{Epoch, Position};

/// How long an answer may take: whoever asks has a client waiting.
const ANSWER: Duration = Duration::from_millis(250);
/// After a failure nobody connects for so long, so that an outage does not cost each caller the wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a history in Redis stands, without following it: for a server that reads states and tells its clients from which position to stream on.
///
/// It costs one connection and keeps nothing of the history.
#[derive(Debug)]
pub struct RedisHead {
    client: Client,
    state: String,
    /// Held for single steps, never across an await.
    line: Mutex<Line>,
}

#[derive(Debug)]
enum Line {
    Connected(MultiplexedConnection),
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
                *self.lock() = Line::Away(Instant::now() + PAUSE);
                Err(failed("asking for its head", &error))
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, HistoryError> {
        {
            let mut line = self.lock();
            match &*line {
                Line::Connected(connection) => return Ok(connection.clone()),
                Line::Away(until) if *until > Instant::now() => {
                    return Err(HistoryError::new("redis is away"));
                }
                // The one who connects: until that is done, the others do without.
                Line::Away(_) => *line = Line::Away(Instant::now() + PAUSE),
            }
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let connection = connected.map_err(|error| failed("connecting to redis", &error))?;
        *self.lock() = Line::Connected(connection.clone());
        Ok(connection)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
