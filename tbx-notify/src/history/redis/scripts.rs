//! The scripts, and what they answer.

use std::time::{SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Script, Value};
use tbx_bus::TraceContext;

use super::super::contract::{HistoryError, Retention};
use super::error::failed;
use super::log::Newest;
use super::options::Keys;
use super::standing::{Found, Renewal};
use super::wire::{self, text};
use crate::{Epoch, Notification};

/// The most entries trimmed at once, so that appends hardly wait: the script is handed them with their bodies.
pub(super) const TRIM_BATCH: u64 = 64;

/// One script each for what must happen at one moment.
#[derive(Debug)]
pub(super) struct Scripts {
    keys: Keys,
    retention: Retention,
    append: Script,
    trim: Script,
    look: Script,
    renew: Script,
    topics: Script,
}

/// The answer to an append.
#[derive(Debug)]
pub(super) enum Stored {
    /// It is there now.
    New { offset: u64 },
    /// It was there before.
    Known { offset: u64 },
    /// The history is not as the caller has seen it; nothing was appended.
    Moved,
}

/// The answer to a trimming.
#[derive(Debug)]
pub(super) struct Trimmed {
    pub(super) oldest: u64,
    pub(super) forgotten: u64,
    pub(super) count: u64,
}

impl Scripts {
    pub(super) fn new(keys: Keys, retention: Retention) -> Self {
        let script = |body: &str| Script::new(&format!("{}{body}", include_str!("lua/shared.lua")));
        Self {
            keys,
            retention,
            append: script(include_str!("lua/append.lua")),
            trim: script(include_str!("lua/trim.lua")),
            look: script(include_str!("lua/look.lua")),
            renew: script(include_str!("lua/renew.lua")),
            topics: script(include_str!("lua/topics.lua")),
        }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Gives them to the server, so that they need not travel with each call.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        for script in [&self.append, &self.trim, &self.look, &self.renew, &self.topics] {
            script.load_async(connection).await?;
        }
        Ok(())
    }

    pub(super) async fn append(
        &self,
        mut connection: MultiplexedConnection,
        notification: &Notification,
        seen: (Epoch, u64),
        now: Option<SystemTime>,
    ) -> Result<Stored, RedisError> {
        let answer: Vec<String> = self
            .call(&self.append)
            .arg(notification.id().as_str())
            .arg(notification.topic().as_str())
            .arg(notification.event().as_str())
            .arg(notification.body().as_ref())
            .arg(milliseconds(now))
            .arg(seen.0.get())
            .arg(seen.1)
            .arg(self.retention.max_count)
            .arg(notification.trace().map_or("", TraceContext::traceparent))
            .invoke_async(&mut connection)
            .await?;
        let [verdict, offset] = answer.as_slice() else { return Ok(Stored::Moved) };
        let offset = offset.parse().unwrap_or_default();
        Ok(if verdict == "new" { Stored::New { offset } } else { Stored::Known { offset } })
    }

    /// Trims a batch; `None` when there is another epoch.
    pub(super) async fn trim(
        &self,
        mut connection: MultiplexedConnection,
        epoch: Epoch,
        now: Option<SystemTime>,
    ) -> Result<Option<Trimmed>, RedisError> {
        let answer: Vec<String> = self
            .call(&self.trim)
            .arg(milliseconds(now))
            .arg(epoch.get())
            .arg(self.retention.max_count)
            .arg(u64::try_from(self.retention.max_age.as_millis()).unwrap_or(u64::MAX))
            .arg(TRIM_BATCH)
            .invoke_async(&mut connection)
            .await?;
        let [_, oldest, forgotten, count] = answer.as_slice() else { return Ok(None) };
        let parse = |text: &String| text.parse().unwrap_or_default();
        Ok(Some(Trimmed { oldest: parse(oldest), forgotten: parse(forgotten), count: parse(count) }))
    }

    /// How it stands, for somebody who has seen up to `newest`.
    pub(super) async fn look(
        &self,
        connection: &mut MultiplexedConnection,
        newest: &Newest,
    ) -> Result<Option<Found>, HistoryError> {
        let answer: Value = self
            .call(&self.look)
            .arg(newest.offset)
            .arg(&newest.id)
            .invoke_async(connection)
            .await
            .map_err(|error| failed("looking how it stands", &error))?;
        Found::read(answer)
    }

    /// The same question, as the next command of a pipeline. The server has the script since the connection was made.
    pub(super) fn look_next(&self, pipeline: &mut Pipeline, newest: &Newest) {
        let Keys { stream, ids, meta, trimmed } = &self.keys;
        pipeline.cmd("EVALSHA").arg(self.look.get_hash()).arg(4).arg(stream).arg(ids).arg(meta).arg(trimmed);
        pipeline.arg(newest.offset).arg(&newest.id);
    }

    /// Begins a new epoch, unless what was found is no longer there.
    pub(super) async fn renew(
        &self,
        connection: &mut MultiplexedConnection,
        renewal: &Renewal,
    ) -> Result<bool, HistoryError> {
        let Renewal { found, begins_after, begins_after_id, reached, own } = renewal;
        let number = |epoch: Option<Epoch>| epoch.map_or_else(String::new, |epoch| epoch.get().to_string());
        let newest = found.map_or_else(String::new, |(_, newest)| newest.to_string());
        let answer: Value = self
            .call(&self.renew)
            .arg(number(found.map(|(epoch, _)| epoch)))
            .arg(newest)
            .arg(Epoch::generate().get())
            .arg(begins_after)
            .arg(reached.0)
            .arg(&reached.1)
            .arg(number(*own))
            .arg(begins_after_id)
            .invoke_async(connection)
            .await
            .map_err(|error| failed("beginning an epoch", &error))?;
        Ok(wire::number(&answer)? == 1)
    }

    /// Offsets and topics of up to `count` entries after `after`.
    pub(super) async fn topics(
        &self,
        connection: &mut MultiplexedConnection,
        epoch: Epoch,
        after: u64,
        count: usize,
    ) -> Result<Value, HistoryError> {
        self.call(&self.topics)
            .arg(epoch.get())
            .arg(after)
            .arg(count)
            .invoke_async(connection)
            .await
            .map_err(|error| failed("reading its topics", &error))
    }

    fn call<'a>(&'a self, script: &'a Script) -> redis::ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        let Keys { stream, ids, meta, trimmed } = &self.keys;
        call.key(stream).key(ids).key(meta).key(trimmed);
        call
    }
}

/// Epoch, newest and oldest offset, and up to where topics are forgotten; `None` when there is no history.
pub(super) fn state(answer: Value) -> Result<Option<(Epoch, u64, u64, u64)>, HistoryError> {
    let parts = wire::array(answer)?;
    let [epoch, newest, oldest, forgotten] = parts.as_slice() else { return Ok(None) };
    if parts.contains(&Value::Nil) {
        return Ok(None);
    }
    let epoch = Epoch::new(text(epoch.clone())?.parse().unwrap_or_default());
    Ok(Some((epoch, wire::number(newest)?, wire::number(oldest)?, wire::number(forgotten)?)))
}

/// The time that a script goes by; empty for that of the server.
fn milliseconds(time: Option<SystemTime>) -> String {
    let since = time.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default());
    since.map_or_else(String::new, |since| since.as_millis().to_string())
}
