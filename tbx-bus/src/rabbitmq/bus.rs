//! The bus itself: publishing, declaring, joining, listening.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::Channel;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::broadcast::{self, ListenerSource, Listening, Ring};
use super::client::Broker;
use super::keeper::{Keeper, Phase};
use super::mail::Mail;
use super::publisher::Outgoing;
use super::settle::GroupSource;
use super::shelf::Shelf;
use super::supervisor::Link;
use super::{Exchange, RabbitMq, declare, encode, error, letter, names};
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

impl RabbitBus {
    /// The exchange that it publishes to.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn mail(&self, group: &Group) -> Mail {
        Mail {
            group: Arc::clone(&group.name),
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

async fn within<T>(
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
            return self.broker.0.outbox.send(letter::to_group(&message, group)?).await;
        }
        let is_private = message.topic().words().any(is_private);
        let name = if is_private { &self.exchange.private } else { &self.exchange.name };
        // Encoded here and not in the task that publishes, which is one for everybody.
        let outgoing = Outgoing {
            name: names::short(name),
            routing_key: names::short(message.topic().as_str()),
            mandatory: self.exchange.unroutable == Unroutable::Refuse,
            properties: encode::properties(&message, &[])?,
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
        declare::check(group)?;
        let length = self.broker.0.options.queue_length;
        let declared = on_channel(&self.broker, "declaring", async |channel| {
            declare::group(channel, &self.exchange, group, length).await
        });
        declared.await.map(|_| ())
    }

    async fn consume(&self, group: &Group) -> Result<Deliveries, BusError> {
        declare::check(group)?;
        let length = self.broker.0.options.queue_length;
        let prefetch = u16::try_from(group.prefetch()).unwrap_or(u16::MAX);
        let (link, channel, stream) = on_channel(&self.broker, "consuming", async |channel| {
            declare::group(channel, &self.exchange, group, length).await?;
            let failed = |error| error::of_channel(error, format!("consuming from `{}`", group.name()));
            channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
            channel
                .basic_consume(
                    names::short(group.name()),
                    ShortString::default(),
                    BasicConsumeOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(failed)
        })
        .await?;
        let (commands, receiver) = mpsc::channel(usize::from(prefetch));
        let (shelf, left, closed) =
            (Arc::new(Shelf::default()), CancellationToken::new(), self.broker.0.closed.clone());
        let keeper = Keeper {
            link,
            channel,
            stream,
            group: group.clone(),
            shelf: Arc::clone(&shelf),
            commands: receiver,
            mail: self.mail(group),
            counters: Arc::clone(&self.broker.0.counters),
            left: left.clone(),
            closed: closed.clone(),
            phase: Phase::Consuming,
            sending: JoinSet::new(),
            failed: VecDeque::new(),
        };
        self.broker.0.tasks.spawn(keeper.run());
        Ok(Deliveries::new(GroupSource {
            group: Arc::clone(&group.name),
            shelf,
            commands,
            closed,
            _leave: left.drop_guard(),
        }))
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
