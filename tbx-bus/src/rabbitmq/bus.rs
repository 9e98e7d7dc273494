//! The bus itself: publishing, declaring, joining, listening.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::Channel;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::balance::{self, Balance};
use super::broadcast::{self, ListenerSource, Listening, Ring};
use super::client::Broker;
use super::keeper::{Handover, Keeper, Phase};
use super::mail::Mail;
use super::outbox::Outgoing;
use super::seat::Seat;
use super::settle::{GroupSource, Partition};
use super::shelf::Shelf;
use super::state::Counted;
use super::supervisor::Link;
use super::{Exchange, RabbitMq, declare, encode, error, frames, lease, letter, names, partitions};
use crate::publisher::{Publisher, Receipt};
use crate::subscriber::{Broadcast, Deliveries, Group, Subscriber};
use crate::time::from_now;
use crate::{BusError, BusErrorKind, Capabilities, Message, Unroutable, is_private};

/// A bus on one exchange of a [`RabbitMq`] broker. A clone is the same bus.
#[derive(Debug, Clone)]
pub struct RabbitBus {
    pub(super) broker: RabbitMq,
    pub(super) exchange: Exchange,
}

/// A seat at each partition. Where to begin is left to chance: those who come together share from the beginning.
async fn seats(link: &Link, group: &Group) -> Result<Vec<(usize, String, Seat)>, BusError> {
    let mut queues: Vec<_> = partitions::queues(group).into_iter().enumerate().collect();
    let first = fastrand::usize(..queues.len());
    queues.rotate_left(first);
    let mut seats = Vec::with_capacity(queues.len());
    for (index, queue) in queues {
        let seat = Seat::take(link, group, &queue).await?;
        seats.push((index, queue, seat));
    }
    Ok(seats)
}

impl RabbitBus {
    /// The exchange that it publishes to.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Declares a group, and returns the connection on which it was.
    async fn declare_for(&self, group: &Group, context: &str) -> Result<Arc<Link>, BusError> {
        declare::check(group)?;
        let length = self.broker.0.options.queue_length;
        let (link, _, ()) = on_channel(&self.broker, context, async |channel| {
            declare::group(channel, &self.exchange, group, length).await
        })
        .await?;
        Ok(link)
    }

    /// Starts the tasks of a consumer that has its seats.
    fn sit_down(&self, link: Arc<Link>, group: &Group, seats: Vec<(usize, String, Seat)>) -> Deliveries {
        let Broker { tasks, closed, counters, .. } = &*self.broker.0;
        let (wake, left) = (Arc::new(Notify::new()), CancellationToken::new());
        let balance = Arc::new(Balance::new(seats.len()));
        let mut sources = Vec::with_capacity(seats.len());
        let counted = Arc::new(Counted::new(counters));
        for (partition, queue, seat) in seats {
            // As many as the broker lets us hold.
            let (commands, receiver) = mpsc::channel(group.prefetch() as usize);
            let shelf = Arc::new(Shelf::new(&wake));
            let keeper = Keeper {
                link: Arc::clone(&link),
                seat,
                queue,
                partition,
                balance: Arc::clone(&balance),
                group: group.clone(),
                shelf: Arc::clone(&shelf),
                commands: receiver,
                mail: self.mail(group),
                counters: Arc::clone(counters),
                _counted: Arc::clone(&counted),
                left: left.clone(),
                closed: closed.clone(),
                phase: Phase::Consuming,
                handover: Handover::default(),
                sending: JoinSet::new(),
                failed: VecDeque::new(),
            };
            tasks.spawn(keeper.run());
            sources.push(Partition { shelf, commands });
        }
        if partitions::is_spread(group) {
            let (link, group) = (Arc::clone(&link), group.clone());
            tasks.spawn(balance::keep(link, group, balance, left.clone(), closed.clone()));
        }
        if let Some(expiry) = group.expiry() {
            tasks.spawn(lease::keep(link, group.clone(), expiry, left.clone(), closed.clone()));
        }
        Deliveries::new(GroupSource {
            group: Arc::clone(&group.name),
            prefetch: group.prefetch() as usize,
            partitions: sources,
            turn: 0,
            wake,
            released: Arc::clone(&self.broker.0.released),
            closed: closed.clone(),
            _leave: left.drop_guard(),
        })
    }

    fn mail(&self, group: &Group) -> Mail {
        Mail {
            group: group.clone(),
            exchange: self.exchange.clone(),
            outbox: self.broker.0.outbox.clone(),
            released: Arc::clone(&self.broker.0.released),
            rungs: Arc::clone(&self.broker.0.rungs),
        }
    }
}

/// Runs `act` on a channel of its own of the connection that consumes, within the time that a message may wait to be sent.
pub(super) async fn on_channel<T>(
    broker: &RabbitMq,
    context: &str,
    act: impl AsyncFnOnce(&Channel) -> Result<T, BusError>,
) -> Result<(Arc<Link>, Channel, T), BusError> {
    let Broker { options, consuming, closed, .. } = &*broker.0;
    let refused = || Err(BusError::new(BusErrorKind::Closed, context));
    if closed.is_cancelled() {
        return refused();
    }
    let deadline = from_now(options.publish_timeout);
    let acting = async {
        loop {
            let link = consuming.get(deadline, context).await?;
            let channel = match link.connection().create_channel().await {
                Ok(channel) => channel,
                // Lost, and its supervisor does not know yet. Nothing was begun, so begin with the next.
                Err(error) if error::ends_connection(&error) => {
                    link.give_up(&error::told(&error));
                    continue;
                }
                Err(error) => return Err(error::of_channel(error, context)),
            };
            let done = tokio::select! {
                biased;
                () = link.lost().cancelled() => return Err(link.disconnected(context)),
                done = act(&channel) => done?,
            };
            return Ok((link, channel, done));
        }
    };
    tokio::select! {
        biased;
        () = closed.cancelled() => refused(),
        acted = within(deadline, context, acting) => acted,
    }
}

pub(super) async fn within<T>(
    deadline: Instant,
    context: &str,
    acting: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    match tokio::time::timeout_at(deadline, acting).await {
        Ok(acted) => acted,
        Err(_) => Err(BusError::new(
            BusErrorKind::Disconnected,
            format!("{context}: no answer from the broker in time"),
        )),
    }
}

#[async_trait]
impl Publisher for RabbitBus {
    fn capabilities(&self) -> Capabilities {
        Capabilities::durable()
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        let (size, limit) = (message.body().len(), self.broker.0.options.max_body);
        if size > limit {
            return Err(BusError::new(
                BusErrorKind::TooLarge,
                format!("{size} bytes where {limit} are allowed"),
            ));
        }
        if let Some(group) = message.only_for() {
            // By the name of its queue: no pattern decides, and no other group is asked.
            let spread = partitions::are_there(&self.broker, group).await?;
            return self.broker.0.outbox.send(letter::to_group(&message, group, spread)?).await;
        }
        let is_private = message.topic().words().any(is_private);
        let name = if is_private { &self.exchange.private } else { &self.exchange.name };
        let slot = message.key().map(partitions::slot);
        let properties = encode::properties(&message, slot.as_deref(), &[])?;
        frames::check_published(&properties, message.is_replayed())?;
        // Encoded here and not in the task that publishes, which is one for everybody.
        let outgoing = Outgoing {
            name: names::short(name),
            routing_key: names::short(message.topic().as_str()),
            mandatory: self.exchange.unroutable == Unroutable::Refuse,
            properties,
            body: message.body().clone(),
            id: message.id().clone(),
            exchange: Some(self.exchange.clone()),
        };
        self.broker.0.outbox.send(outgoing).await
    }
}

#[async_trait]
impl Subscriber for RabbitBus {
    async fn declare(&self, group: &Group) -> Result<(), BusError> {
        self.declare_for(group, "declaring").await.map(|_| ())
    }

    async fn consume(&self, group: &Group) -> Result<Deliveries, BusError> {
        let link = self.declare_for(group, "consuming").await?;
        let seats = within(from_now(self.broker.0.options.publish_timeout), "consuming", async {
            tokio::select! {
                biased;
                () = link.lost().cancelled() => Err(link.disconnected("consuming")),
                seats = seats(&link, group) => seats,
            }
        })
        .await?;
        Ok(self.sit_down(link, group, seats))
    }

    async fn listen(&self, broadcast: &Broadcast) -> Result<Deliveries, BusError> {
        if broadcast.patterns().is_empty() {
            return Err(BusError::new(BusErrorKind::Declaration, "a broadcast that wants nothing"));
        }
        let (link, channel, stream) = on_channel(&self.broker, "listening", async |channel| {
            broadcast::open(channel, &self.exchange, broadcast).await
        })
        .await?;
        let (ring, left) = (Arc::new(Ring::new(broadcast.capacity())), CancellationToken::new());
        let listening = Listening {
            link,
            channel,
            stream,
            broadcast: broadcast.clone(),
            ring: Arc::clone(&ring),
            counters: Arc::clone(&self.broker.0.counters),
            left: left.clone(),
            closed: self.broker.0.closed.clone(),
        };
        self.broker.0.tasks.spawn(listening.run());
        Ok(Deliveries::new(ListenerSource { ring, _leave: left.drop_guard() }))
    }
}
