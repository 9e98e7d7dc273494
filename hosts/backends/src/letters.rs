//! Dead letters, wherever they are kept: in the database, or in the queues of a broker.

use tbx_bus::rabbitmq::{DeadLetterQueue, RabbitMq, StoredLetter};
use tbx_bus::{BusError, BusErrorKind};
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL, NOTIFIER_GROUP, WORKER_GROUP};
use tbx_service::Config;
use tbx_service::config::{BusUrl, DatabaseUrl};
use tbx_store::postgres::{self, PgOutbox};
use tbx_store::sqlite::{self, FiledLetter, Replayed, SqliteOutbox};
use tbx_store::{StoreError, StoreErrorKind};

use crate::buses::rabbit_options;
use crate::letter::{Letter, LetterId, LettersError};
use crate::patience::patiently;
use crate::storage::postgres_options;
use crate::{Buses, OpenError, Storage, groups};

/// Letters are read in pieces of this many; of each queue of a broker no more are looked at.
const PIECE: u32 = 500;
const OF_A_QUEUE: usize = 10_000;

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

    /// Those of one group on the broker and no others: the way to a notifier with a history of its own, whose group nobody else knows.
    ///
    /// # Errors
    ///
    /// When there is no broker, it cannot be reached, or it has no such group.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn of_group(config: &Config, group: &str) -> Result<Self, OpenError> {
        const SETTING: &str = "--group";
        let Some(rabbit) = broker(config).await? else {
            let why = "only RabbitMQ keeps dead letters by group; leave it out to see those of all";
            return Err(OpenError::unusable(SETTING, why));
        };
        let letters = rabbit.dead_letters(group);
        // A slip of the pen must not look like a group without letters.
        letters.count().await.map_err(|error| OpenError::of(SETTING)(error.into()))?;
        let channel = match group {
            WORKER_GROUP => EVENTS_CHANNEL,
            _ if group.starts_with(NOTIFIER_GROUP) => NOTIFICATIONS_CHANNEL,
            // Somebody else's, on a channel of theirs.
            _ => "",
        };
        let queue = Queue { channel, group: group.to_owned(), letters };
        Ok(Self { store: None, queues: vec![queue], own: Some(rabbit) })
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
            return Err(of_store(StoreError::new(StoreErrorKind::Invalid, "no shared database")));
        };
        let options = postgres_options(url, "tbx dead-letters")?.with_connections(1);
        let database = postgres::Database::connect(&options).await.map_err(of_store)?;
        let outbox = PgOutbox::of(&database);
        Ok(Store::Postgres(database, outbox))
    }

    async fn opened(config: &Config, store: Store) -> Result<Self, OpenError> {
        let Some(rabbit) = broker(config).await? else {
            return Ok(Self { store: Some(store), queues: Vec::new(), own: None });
        };
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
            let kept = if_declared(queue.letters.list(OF_A_QUEUE).await)?;
            letters.extend(kept.into_iter().map(|letter| queue.letter(letter)));
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
                Some(queue) => {
                    let kept = if_declared(queue.letters.show(message).await)?;
                    Ok(kept.map(|letter| queue.letter(letter)))
                }
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
                Some(queue) if if_declared(queue.letters.replay(message).await)? => Ok(Replayed::Queued),
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
                Some(queue) => Ok(if_declared(queue.letters.drop(message).await)?),
                None => Ok(false),
            },
        }
    }

    /// [`replay`](Self::replay) for many, those of one group in one go. What keeps all of them ends it: the rest is left out of the answer.
    ///
    /// # Cancel safety
    ///
    /// As `replay`, for each.
    pub async fn replay_each(&self, ids: Vec<LetterId>) -> Vec<(LetterId, Result<Replayed, LettersError>)> {
        let replayed = |is_done| if is_done { Replayed::Queued } else { Replayed::Absent };
        self.each(
            ids,
            async |id| self.replay(id).await,
            async |queue, messages| queue.letters.replay_each(messages).await,
            replayed,
        )
        .await
    }

    /// [`discard`](Self::discard) for many, as [`replay_each`](Self::replay_each).
    ///
    /// # Cancel safety
    ///
    /// As `discard`, for each.
    pub async fn discard_each(&self, ids: Vec<LetterId>) -> Vec<(LetterId, Result<bool, LettersError>)> {
        self.each(
            ids,
            async |id| self.discard(id).await,
            async |queue, messages| queue.letters.drop_each(messages).await,
            |is_done| is_done,
        )
        .await
    }

    async fn each<T>(
        &self,
        ids: Vec<LetterId>,
        one: impl AsyncFn(&LetterId) -> Result<T, LettersError>,
        many: impl AsyncFn(&Queue, &[String]) -> Result<Vec<Result<bool, BusError>>, BusError>,
        of: impl Fn(bool) -> T,
    ) -> Vec<(LetterId, Result<T, LettersError>)> {
        let mut outcomes = Vec::with_capacity(ids.len());
        let mut queued: Vec<(String, Vec<String>)> = Vec::new();
        for id in ids {
            match id {
                LetterId::Queued { group, message } => match queued.iter_mut().find(|(of, _)| *of == group) {
                    Some((_, messages)) => messages.push(message),
                    None => queued.push((group, vec![message])),
                },
                LetterId::Stored(_) => {
                    let outcome = one(&id).await;
                    let ends = outcome.as_ref().is_err_and(|error| !error.is_of_the_letter());
                    outcomes.push((id, outcome));
                    if ends {
                        return outcomes;
                    }
                }
            }
        }
        for (group, messages) in queued {
            let decided = match self.queue(&group) {
                Some(queue) => if_declared(many(queue, &messages).await),
                None => Ok(Vec::new()),
            };
            let id = |message| LetterId::Queued { group: group.clone(), message };
            let mut decided = match decided {
                Ok(decided) => decided.into_iter(),
                Err(error) => {
                    outcomes.extend(messages.into_iter().next().map(|first| (id(first), Err(error.into()))));
                    return outcomes;
                }
            };
            let mut ends = false;
            for message in messages {
                let outcome = decided.next().unwrap_or(Ok(false)).map(&of).map_err(LettersError::from);
                ends |= outcome.as_ref().is_err_and(|error| !error.is_of_the_letter());
                outcomes.push((id(message), outcome));
            }
            if ends {
                break;
            }
        }
        outcomes
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

async fn broker(config: &Config) -> Result<Option<RabbitMq>, OpenError> {
    let BusUrl::Amqp(url) = &config.bus_url else { return Ok(None) };
    let options = rabbit_options(url, "tbx dead-letters")?;
    patiently("TBX_BUS_URL", || options.probe()).await?;
    Ok(Some(RabbitMq::start(options)))
}

/// A group that nobody has declared yet has given nothing up.
fn if_declared<T: Default>(looked: Result<T, BusError>) -> Result<T, BusError> {
    match looked {
        Err(error) if error.kind() == BusErrorKind::Declaration => Ok(T::default()),
        looked => looked,
    }
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
