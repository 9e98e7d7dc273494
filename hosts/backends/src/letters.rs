//! Dead letters, wherever they are kept: in the database, or in the queues of a broker.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tbx_bus::BusError;
use tbx_bus::rabbitmq::{DeadLetterQueue, RabbitMq, StoredLetter};
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL};
use tbx_service::Config;
use tbx_service::config::{BusUrl, DatabaseUrl};
use tbx_store::StoreError;
use tbx_store::postgres::{self, PgOutbox};
use tbx_store::sqlite::{self, FiledLetter, Replayed, SqliteOutbox};
use thiserror::Error;

use crate::buses::rabbit_options;
use crate::patience::patiently;
use crate::storage::postgres_options;
use crate::{Buses, OpenError, Storage, groups};

/// Letters are read in pieces of this many; of each queue of a broker no more are looked at.
const PIECE: u32 = 500;
const OF_A_QUEUE: usize = 10_000;

/// Which letter: the number of one in the database, or group and message id of one on a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LetterId {
    /// In the database.
    Stored(i64),
    /// On the broker, written `GROUP:MESSAGE-ID`.
    Queued {
        /// The group that gave it up.
        group: String,
        /// The id of the message.
        message: String,
    },
}

impl FromStr for LetterId {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Stored(number));
        }
        let (group, message) = text.split_once(':').ok_or(InvalidLetterId)?;
        if group.is_empty() || message.is_empty() {
            return Err(InvalidLetterId);
        }
        Ok(Self::Queued { group: group.to_owned(), message: message.to_owned() })
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(number) => write!(f, "{number}"),
            Self::Queued { group, message } => write!(f, "{group}:{message}"),
        }
    }
}

/// A text that names no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no dead letter; give its number, or GROUP:MESSAGE-ID, as `dead-letters list` shows them")]
pub struct InvalidLetterId;

/// A message that was given up.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Which.
    pub id: LetterId,
    /// The channel it was on.
    pub channel: String,
    /// The group that gave it up; empty when no group had it.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The id of the message.
    pub message_id: String,
    /// The type of the message; `None` when it cannot be read.
    pub kind: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// The kind of reason.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// When it was given up, where that is known.
    pub died_at: Option<DateTime<Utc>>,
    /// The body.
    pub body: Bytes,
}

/// Looks at dead letters and decides about them.
#[derive(Debug)]
pub struct Letters {
    store: Option<Store>,
    queues: Vec<Queue>,
    /// What was opened for this alone.
    own: Option<RabbitMq>,
}

#[derive(Debug)]
enum Store {
    Visit(sqlite::Visit),
    Sqlite(sqlite::Database, SqliteOutbox),
    Postgres(postgres::Database, PgOutbox),
}

#[derive(Debug)]
struct Queue {
    channel: &'static str,
    group: String,
    letters: DeadLetterQueue,
}

impl Letters {
    /// Those of the configured parts, to look at alone: a file is not owned for it.
    ///
    /// # Errors
    ///
    /// When a part cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn to_look_at(config: &Config) -> Result<Self, OpenError> {
        let store = match &config.database_url {
            DatabaseUrl::Sqlite(path) => Store::Visit(sqlite::Visit::to(path).await.map_err(of_store)?),
            DatabaseUrl::Postgres(_) => Self::shared_store(config).await?,
        };
        Self::opened(config, store).await
    }

    /// Those of the configured parts, to decide about. A file must belong to nobody else meanwhile.
    ///
    /// # Errors
    ///
    /// When a part cannot be reached, or another process has the file.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn to_decide_about(config: &Config) -> Result<Self, OpenError> {
        let store = match &config.database_url {
            DatabaseUrl::Sqlite(path) => {
                let options = sqlite::DatabaseOptions::new(path).with_create(false);
                let database = sqlite::Database::connect(&options).await.map_err(of_store)?;
                let outbox = SqliteOutbox::of(&database);
                Store::Sqlite(database, outbox)
            }
            DatabaseUrl::Postgres(_) => Self::shared_store(config).await?,
        };
        Self::opened(config, store).await
    }

    /// Those of a running process, which keeps what it has opened.
    #[must_use]
    pub fn of(storage: &Storage, buses: &Buses) -> Self {
        let store = match storage.clone() {
            Storage::Sqlite { database, outbox, .. } => Store::Sqlite(database, outbox),
            Storage::Postgres { database, outbox, .. } => Store::Postgres(database, outbox),
        };
        let notifiers = buses.notifier_group().map(|group| group.name().to_owned());
        let queues = buses.rabbit().map(|rabbit| queues(rabbit, notifiers)).unwrap_or_default();
        Self { store: Some(store), queues, own: None }
    }

    async fn shared_store(config: &Config) -> Result<Store, OpenError> {
        let DatabaseUrl::Postgres(url) = &config.database_url else {
            return Err(of_store(StoreError::new(tbx_store::StoreErrorKind::Invalid, "no shared database")));
        };
        let options = postgres_options(url, "tbx dead-letters")?.with_connections(1);
        let database = postgres::Database::connect(&options).await.map_err(of_store)?;
        let outbox = PgOutbox::of(&database);
        Ok(Store::Postgres(database, outbox))
    }

    async fn opened(config: &Config, store: Store) -> Result<Self, OpenError> {
        let BusUrl::Amqp(url) = &config.bus_url else {
            return Ok(Self { store: Some(store), queues: Vec::new(), own: None });
        };
        let options = rabbit_options(url, "tbx dead-letters")?;
        patiently("TBX_BUS_URL", || options.probe()).await?;
        let rabbit = RabbitMq::start(options);
        let notifiers = groups::notifier_of(config, None).map(|group| group.name().to_owned());
        Ok(Self { store: Some(store), queues: queues(&rabbit, notifiers), own: Some(rabbit) })
    }

    /// All of them: those of the database first, each kind oldest first.
    ///
    /// # Errors
    ///
    /// When a part fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list(&self) -> Result<Vec<Letter>, LettersError> {
        let mut letters = Vec::new();
        let mut after = 0;
        while let Some(store) = &self.store {
            let piece = store.list(after).await?;
            let Some(last) = piece.last() else { break };
            after = last.letter.id;
            letters.extend(piece.into_iter().map(Letter::from));
        }
        for queue in &self.queues {
            let kept = queue.letters.list(OF_A_QUEUE).await;
            match kept {
                Ok(kept) => letters.extend(kept.into_iter().map(|letter| queue.letter(letter))),
                // A group that nobody has declared yet has given nothing up.
                Err(error) if error.kind() == tbx_bus::BusErrorKind::Declaration => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(letters)
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// When a part fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn find(&self, id: &LetterId) -> Result<Option<Letter>, LettersError> {
        match id {
            LetterId::Stored(number) => match &self.store {
                Some(store) => Ok(store.find(*number).await?.map(Letter::from)),
                None => Ok(None),
            },
            LetterId::Queued { group, message } => match self.queue(group) {
                Some(queue) => Ok(queue.letters.show(message).await?.map(|letter| queue.letter(letter))),
                None => Ok(None),
            },
        }
    }

    /// Has it handled again: one of the database goes into the outbox of its channel, one of a broker to the group that gave it up and to no other.
    ///
    /// # Errors
    ///
    /// When a part fails; the letter stays.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave one of a broker both in its group and among the letters.
    pub async fn replay(&self, id: &LetterId) -> Result<Replayed, LettersError> {
        match id {
            LetterId::Stored(number) => match &self.store {
                Some(store) => Ok(store.replay(*number).await?),
                None => Ok(Replayed::Absent),
            },
            LetterId::Queued { group, message } => match self.queue(group) {
                Some(queue) if queue.letters.replay(message).await? => Ok(Replayed::Queued),
                _ => Ok(Replayed::Absent),
            },
        }
    }

    /// Takes it away for good. Tells whether there was one.
    ///
    /// # Errors
    ///
    /// When a part fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has done it or not.
    pub async fn discard(&self, id: &LetterId) -> Result<bool, LettersError> {
        match id {
            LetterId::Stored(number) => match &self.store {
                Some(store) => Ok(store.discard(*number).await?),
                None => Ok(false),
            },
            LetterId::Queued { group, message } => match self.queue(group) {
                Some(queue) => Ok(queue.letters.drop(message).await?),
                None => Ok(false),
            },
        }
    }

    /// Closes what was opened for this.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it closing.
    pub async fn close(self) {
        match self.store {
            Some(Store::Visit(visit)) => visit.close().await,
            Some(Store::Sqlite(database, _)) => database.close().await,
            Some(Store::Postgres(database, _)) => database.close().await,
            None => {}
        }
        if let Some(rabbit) = self.own {
            rabbit.close().await;
        }
    }

    fn queue(&self, group: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.group == group)
    }
}

fn queues(rabbit: &RabbitMq, notifiers: Option<String>) -> Vec<Queue> {
    let workers = (EVENTS_CHANNEL, Some(groups::worker().name().to_owned()));
    [workers, (NOTIFICATIONS_CHANNEL, notifiers)]
        .into_iter()
        .filter_map(|(channel, group)| {
            let group = group?;
            Some(Queue { channel, letters: rabbit.dead_letters(&group), group })
        })
        .collect()
}

fn of_store(error: StoreError) -> OpenError {
    OpenError::of("TBX_DATABASE_URL")(error.into())
}

impl Queue {
    fn letter(&self, letter: StoredLetter) -> Letter {
        let message = letter.to_dead_letter().map(|dead| dead.message);
        Letter {
            id: LetterId::Queued { group: self.group.clone(), message: letter.id.clone() },
            channel: self.channel.to_owned(),
            group: self.group.clone(),
            topic: letter.topic,
            message_id: letter.id,
            kind: message.map(|message| message.kind().to_owned()),
            attempts: letter.attempts,
            reason: letter.reason.kind.as_str().to_owned(),
            detail: letter.reason.detail,
            died_at: None,
            body: letter.body,
        }
    }
}

impl From<FiledLetter> for Letter {
    fn from(filed: FiledLetter) -> Self {
        let letter = filed.letter;
        Self {
            id: LetterId::Stored(letter.id),
            channel: filed.channel,
            group: letter.group,
            topic: filed.topic,
            message_id: letter.message_id,
            kind: letter.message.map(|message| message.kind().to_owned()),
            attempts: letter.attempts,
            reason: letter.reason,
            detail: letter.detail,
            died_at: Some(letter.died_at),
            body: filed.body,
        }
    }
}

impl Store {
    async fn list(&self, after: i64) -> Result<Vec<FiledLetter>, StoreError> {
        match self {
            Self::Visit(visit) => {
                sqlite::DeadLetterOffice::new(visit.pool().clone()).list(after, PIECE).await
            }
            Self::Sqlite(database, _) => {
                sqlite::DeadLetterOffice::new(database.writer().clone()).list(after, PIECE).await
            }
            Self::Postgres(database, _) => {
                postgres::DeadLetterOffice::new(database.pool().clone()).list(after, PIECE).await
            }
        }
    }

    async fn find(&self, id: i64) -> Result<Option<FiledLetter>, StoreError> {
        match self {
            Self::Visit(visit) => sqlite::DeadLetterOffice::new(visit.pool().clone()).find(id).await,
            Self::Sqlite(database, _) => {
                sqlite::DeadLetterOffice::new(database.writer().clone()).find(id).await
            }
            Self::Postgres(database, _) => {
                postgres::DeadLetterOffice::new(database.pool().clone()).find(id).await
            }
        }
    }

    async fn replay(&self, id: i64) -> Result<Replayed, StoreError> {
        match self {
            // Who only looks has nothing to put it into.
            Self::Visit(_) => Ok(Replayed::Absent),
            Self::Sqlite(database, outbox) => {
                sqlite::DeadLetterOffice::new(database.writer().clone()).replay(id, outbox).await
            }
            Self::Postgres(database, outbox) => {
                postgres::DeadLetterOffice::new(database.pool().clone()).replay(id, outbox).await
            }
        }
    }

    async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        match self {
            Self::Visit(_) => Ok(false),
            Self::Sqlite(database, _) => {
                sqlite::DeadLetterOffice::new(database.writer().clone()).discard(id).await
            }
            Self::Postgres(database, _) => {
                postgres::DeadLetterOffice::new(database.pool().clone()).discard(id).await
            }
        }
    }
}

/// A part that keeps letters failed.
#[derive(Debug, Error)]
#[error("dead letters cannot be reached")]
pub struct LettersError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<StoreError> for LettersError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<BusError> for LettersError {
    fn from(error: BusError) -> Self {
        Self(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_named_by_number_or_by_group_and_message() {
        for text in ["7", "tbx.worker:01a2", "g:a:b"] {
            assert_eq!(text.parse::<LetterId>().unwrap().to_string(), text);
        }
        for text in ["", "x", ":a", "g:"] {
            assert_eq!(text.parse::<LetterId>(), Err(InvalidLetterId), "{text}");
        }
    }
}
