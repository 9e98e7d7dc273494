//! A look at the dead letters of a group: over a connection of its own, at all of them.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use lapin::message::Delivery as Incoming;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Event};
use tokio::sync::MutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bus::within;
use super::client::Broker;
use super::dial::{Dialled, dial};
use super::frames::Frames;
use super::supervisor::LAST_WORDS;
use super::{RabbitMq, error, names};
use crate::time::from_now;
use crate::{BusError, BusErrorKind};

const LOOKING: &str = "reading dead letters";

/// How many letters are looked through.
const LOOKED_THROUGH: u32 = 10_000;
/// So many come to one channel, and the next ones to another: a broker may read all that a consumer may hold into memory at once.
const PIECE: u16 = 500;
/// How long a letter that was counted may be on its way; in a cluster it may come from another node than its number.
const COMING: Duration = Duration::from_secs(2);
/// How long after the last one it is known that there is none.
const QUIET: Duration = Duration::from_millis(200);
/// How often to ask whether somebody else is still looking.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Somebody's look at the letters of one group.
pub(super) struct Look<'a> {
    group: &'a str,
    /// How long any one step may take.
    patience: Duration,
    closed: &'a CancellationToken,
    /// Two at once would each see a part.
    _turn: MutexGuard<'a, ()>,
    dialled: Dialled,
    events: BoxStream<'static, Event>,
    pieces: Vec<Piece>,
    /// How many were there at the beginning, and how many of them have come.
    counted: u32,
    seen: u32,
}

/// Letters that came to one channel, and return with it if nothing is decided about them.
struct Piece {
    channel: Channel,
    letters: lapin::Consumer,
    seen: u16,
}

impl RabbitMq {
    /// Begins a look, over a connection of its own: among the letters are those of other programs that fit into no frame of ours. While others
    /// look it waits, for they have the letters.
    pub(super) async fn look<'a>(&'a self, group: &'a str) -> Result<Look<'a>, BusError> {
        let Broker { options, closed, looks, .. } = &*self.0;
        let deadline = from_now(options.publish_timeout);
        let looking = async {
            let Ok(turn) = tokio::time::timeout_at(deadline, looks.lock()).await else {
                return Err(others_look());
            };
            let beginning = async {
                let dialled = self.dial_to_look(deadline).await?;
                let mut events = dialled.connection.events_listener().boxed();
                let (piece, counted) = tokio::select! {
                    biased;
                    begun = begin(&dialled, group, deadline) => begun?,
                    error = end(&mut events) => return Err(error),
                };
                Ok((dialled, events, vec![piece], counted))
            };
            let (dialled, events, pieces, counted) = within(deadline, LOOKING, beginning).await?;
            let patience = options.publish_timeout;
            Ok(Look { group, patience, closed, _turn: turn, dialled, events, pieces, counted, seen: 0 })
        };
        tokio::select! {
            biased;
            () = closed.cancelled() => Err(BusError::new(BusErrorKind::Closed, LOOKING)),
            look = looking => look,
        }
    }

    /// Tries until the deadline, where trying again can help.
    async fn dial_to_look(&self, deadline: Instant) -> Result<Dialled, BusError> {
        let options = &self.0.options;
        let mut failures = 0;
        loop {
            // In a box, because a handshake takes room that nobody else in here needs.
            let error = match Box::pin(dial(options, LOOKING, Frames::Large)).await {
                Ok(dialled) => return Ok(dialled),
                Err(error) => error,
            };
            failures += 1;
            let next = Instant::now() + options.backoff.delay(failures);
            if error.needs_a_person || next >= deadline {
                return Err(error.into_bus_error());
            }
            tokio::time::sleep_until(next).await;
        }
    }
}

impl Look<'_> {
    /// The next letter, the oldest first; `None` when all have been looked at, up to the 10,000 oldest.
    pub(super) async fn next(&mut self) -> Result<Option<Incoming>, BusError> {
        if self.seen == LOOKED_THROUGH {
            return Ok(None);
        }
        let Self { dialled, group, pieces, counted, seen, .. } = self;
        let coming = async {
            if let Some(full) = pieces.last().filter(|piece| piece.seen == PIECE) {
                full.leave(group).await?;
                let channel = dialled.connection.create_channel().await;
                pieces.push(Piece::of(channel.map_err(|error| failed(error, group))?, group).await?);
            }
            let Some(piece) = pieces.last_mut() else { return Ok(None) };
            let patience = if *seen < *counted { COMING } else { QUIET };
            let letter = piece.next(group, patience).await?;
            *seen += u32::from(letter.is_some());
            Ok(letter)
        };
        bounded(self.closed, self.patience, &mut self.events, coming).await
    }

    /// Forgets a letter for good.
    pub(super) async fn done_with(&mut self, letter: &Acker) -> Result<(), BusError> {
        let group = self.group;
        let acking = async {
            let acked = letter.ack(BasicAckOptions::default()).await;
            acked.map(drop).map_err(|error| failed(error, group))
        };
        bounded(self.closed, self.patience, &mut self.events, acking).await
    }

    /// Waits until the broker has seen what was done with. It answers on a channel in the order in which it was asked.
    pub(super) async fn is_seen(&mut self) -> Result<(), BusError> {
        let Self { group, pieces, .. } = self;
        let seeing = async {
            for piece in pieces.iter() {
                ask(&piece.channel, group).await?;
            }
            Ok(())
        };
        bounded(self.closed, self.patience, &mut self.events, seeing).await
    }

    /// Ends the look, also when it failed. With its channels everything that was taken out and not done with goes back, in order; that is waited for,
    /// so that whoever looks next sees them all.
    pub(super) async fn close(self) {
        if let Some(last) = self.pieces.last() {
            // What the others give back must not come to it.
            let _ = tokio::time::timeout(self.patience, last.leave(self.group)).await;
        }
        for piece in &self.pieces {
            self.dialled.end_channel(&piece.channel, self.patience).await;
        }
        self.dialled.say_goodbye().await;
    }
}

/// A step of a look, which ends with the bus, with the connection, and in time.
async fn bounded<T>(
    closed: &CancellationToken,
    patience: Duration,
    events: &mut BoxStream<'static, Event>,
    step: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    let done = tokio::select! {
        biased;
        () = closed.cancelled() => Err(BusError::new(BusErrorKind::Closed, LOOKING)),
        done = within(from_now(patience), LOOKING, step) => done,
        error = end(events) => Err(error),
    };
    match done {
        // It is seen a moment before lapin tells why.
        Err(error) if error.kind() == BusErrorKind::Disconnected => {
            Err(tokio::time::timeout(LAST_WORDS, end(events)).await.unwrap_or(error))
        }
        done => done,
    }
}

/// The first piece, and how many letters there are.
async fn begin(dialled: &Dialled, group: &str, deadline: Instant) -> Result<(Piece, u32), BusError> {
    let channel = dialled.connection.create_channel().await.map_err(|error| failed(error, group))?;
    loop {
        let Counted { letters, looking } = ask(&channel, group).await?;
        if looking == 0 {
            return Ok((Piece::of(channel, group).await?, letters));
        }
        let next = Instant::now() + ASK_AGAIN;
        if next >= deadline {
            return Err(others_look());
        }
        tokio::time::sleep_until(next).await;
    }
}

fn others_look() -> BusError {
    BusError::new(BusErrorKind::Blocked, format!("{LOOKING}: somebody else is at it, try again in a moment"))
}

impl Piece {
    /// Has the broker send them. Asked for one by one each would be a round trip.
    async fn of(channel: Channel, group: &str) -> Result<Self, BusError> {
        let failed = |error| failed(error, group);
        channel.basic_qos(PIECE, BasicQosOptions::default()).await.map_err(failed)?;
        let (queue, options) = (names::short(&names::dead(group)), BasicConsumeOptions::default());
        let letters =
            channel.basic_consume(queue, ShortString::default(), options, FieldTable::default()).await;
        let letters = letters.map_err(failed)?;
        Ok(Self { channel, letters, seen: 0 })
    }

    /// Takes no more, and keeps what it has. Somebody has to stay as long as the look lasts: by that others see that there is one.
    async fn leave(&self, group: &str) -> Result<(), BusError> {
        let left = self.channel.basic_cancel(self.letters.tag(), BasicCancelOptions::default()).await;
        left.map_err(|error| failed(error, group))
    }

    async fn next(&mut self, group: &str, patience: Duration) -> Result<Option<Incoming>, BusError> {
        loop {
            match tokio::time::timeout(patience, self.letters.next()).await {
                Ok(Some(Ok(letter))) => {
                    self.seen += 1;
                    return Ok(Some(letter));
                }
                Ok(Some(Err(error))) => return Err(failed(error, group)),
                Ok(None) => return Err(BusError::new(BusErrorKind::Disconnected, LOOKING)),
                Err(_) if ask(&self.channel, group).await?.letters == 0 => return Ok(None),
                Err(_) => {}
            }
        }
    }
}

/// How many letters nobody looks at, and how many do look.
pub(super) struct Counted {
    pub(super) letters: u32,
    looking: u32,
}

pub(super) async fn ask(channel: &Channel, group: &str) -> Result<Counted, BusError> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let asked = channel.queue_declare(names::short(&names::dead(group)), options, FieldTable::default());
    let told = asked.await.map_err(|error| failed(error, group))?;
    Ok(Counted { letters: told.message_count(), looking: told.consumer_count() })
}

fn failed(error: lapin::Error, group: &str) -> BusError {
    if error::is_missing(&error) {
        let context = format!("there is no group `{group}` with dead letters on this broker; check its name");
        return BusError::new(BusErrorKind::Declaration, context);
    }
    error::of_channel(error, format!("reading the dead letters of `{group}`"))
}

/// Waits for the end of a connection. Lapin does not tell it to who asked for a letter.
async fn end(events: &mut BoxStream<'static, Event>) -> BusError {
    while let Some(event) = events.next().await {
        match event {
            Event::Error(error) if error::is_large_frame(&error) => {
                let context = format!(
                    "{LOOKING}: the headers of one are larger than a frame of the broker; move it by a shovel"
                );
                return BusError::new(BusErrorKind::TooLarge, context);
            }
            Event::Error(error) if error::is_unreadable(&error) => {
                let context = format!(
                    "{LOOKING}: one has a property that is no UTF-8; take it out by the management pages or a shovel"
                );
                return BusError::new(BusErrorKind::Unsupported, context);
            }
            Event::Error(error) if error::ends_connection(&error) => {
                let context = format!("{LOOKING}: {}", error::told(&error));
                return BusError::new(BusErrorKind::Disconnected, context);
            }
            _ => {}
        }
    }
    BusError::new(BusErrorKind::Disconnected, LOOKING)
}
