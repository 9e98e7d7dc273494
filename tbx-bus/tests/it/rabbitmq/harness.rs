//! A virtual host of a real broker, reached through a relay.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::conformance::{Harness, Terms};
use tbx_bus::rabbitmq::{Exchange, LinkState, RabbitBus, RabbitMq, RabbitOptions};
use tbx_bus::{
    Backoff, BusError, DeadLetter, Deliveries, Delivery, Group, Message, Publisher, Subscriber, Topic,
    TopicPattern,
};
use tbx_services::{Relay, Vhost};

const QUEUE_CAPACITY: usize = 1_000;
/// Also what declaring, consuming and a look at dead letters have, on a machine that runs all tests at once.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A bus on a virtual host of its own.
pub(crate) struct RabbitHarness {
    pub(crate) rabbit: RabbitMq,
    pub(crate) bus: RabbitBus,
    pub(crate) relay: Relay,
    pub(crate) vhost: Vhost,
}

impl RabbitHarness {
    pub(crate) async fn start() -> Self {
        Self::with_options(|options| options).await
    }

    pub(crate) async fn with_options(set: impl FnOnce(RabbitOptions) -> RabbitOptions) -> Self {
        let vhost = Vhost::create().await;
        let relay = Relay::start(vhost.address()).await;
        let options = RabbitOptions::new(&vhost.url_through(&relay))
            .unwrap()
            .with_name("conformance")
            .with_publish_timeout(BLOCK_TIMEOUT)
            .with_confirm_timeout(BLOCK_TIMEOUT)
            .with_queue_length(QUEUE_CAPACITY as u32)
            .with_backoff(Backoff::between(Duration::from_millis(10), Duration::from_millis(100)));
        let rabbit = RabbitMq::start(set(options));
        let bus = rabbit.bus(Exchange::new("conformance").unwrap());
        let harness = Self { rabbit, bus, relay, vhost };
        harness.wait_for(LinkState::is_running).await;
        harness
    }

    /// A channel of another program, on the same virtual host.
    pub(crate) async fn foreign_channel(&self) -> lapin::Channel {
        let properties = lapin::ConnectionProperties::default();
        let connection = lapin::Connection::connect(&self.vhost.url(), properties).await.unwrap();
        connection.create_channel().await.unwrap()
    }

    /// Waits until the connections are in a state.
    pub(crate) async fn wait_for(&self, is: impl FnMut(&LinkState) -> bool) {
        let mut state = self.rabbit.state();
        let waited = tokio::time::timeout(Duration::from_secs(30), state.wait_for(is)).await;
        assert!(waited.is_ok(), "the connections are {:?}", self.rabbit.state().borrow());
    }
}

#[async_trait]
impl Harness for RabbitHarness {
    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.bus.clone())
    }

    fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::new(self.bus.clone())
    }

    fn terms(&self) -> Terms {
        Terms::standard()
            .with_queue_capacity(QUEUE_CAPACITY)
            .with_block_timeout(BLOCK_TIMEOUT)
            .with_silence(Duration::from_millis(500))
            .with_tolerance(Duration::from_secs(5))
    }

    async fn dead_letters(&self, group: &str) -> Vec<DeadLetter> {
        let letters = self.rabbit.dead_letters(group).list(100).await.expect("the letters can be read");
        letters.iter().map(|letter| letter.to_dead_letter().expect("the letter can be read")).collect()
    }

    async fn cut(&self) {
        let lost = self.rabbit.stats().disconnected;
        self.relay.cut().await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while self.rabbit.stats().disconnected < lost + 2 {
            assert!(tokio::time::Instant::now() < deadline, "the cut was not noticed");
            tokio::task::yield_now().await;
        }
    }

    async fn block(&self) {
        self.relay.inject_blocked("low on memory");
        for mut state in [self.rabbit.publishing_state(), self.rabbit.consuming_state()] {
            let blocked = state.wait_for(|state| *state == LinkState::Blocked("low on memory".to_owned()));
            let told = tokio::time::timeout(Duration::from_secs(30), blocked).await;
            assert!(told.is_ok(), "the block was not noticed");
        }
    }

    async fn unblock(&self) {
        self.relay.inject_unblocked();
        self.wait_for(LinkState::is_running).await;
    }

    async fn lose_next_confirm(&self) {
        self.relay.drop_next_ack();
    }

    async fn close(&self) {
        self.rabbit.close().await;
    }

    async fn tear_down(&self) {
        self.rabbit.close().await;
    }
}

/// Waits for what must happen, so that a test that fails does not hang.
pub(crate) async fn soon<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), happens).await.expect("it did not happen")
}

pub(crate) fn message(topic: &str, text: &str) -> Message {
    Message::new(Topic::new(topic).unwrap(), "Happened", text.to_owned())
}

pub(crate) fn group(name: &str, pattern: &str) -> Group {
    Group::new(name, [TopicPattern::new(pattern).unwrap()])
}

pub(crate) async fn next(deliveries: &mut Deliveries) -> Delivery {
    soon(deliveries.next()).await.unwrap().unwrap()
}

/// Publishes and waits for the confirmation.
pub(crate) async fn publish(bus: &RabbitBus, message: Message) -> Result<(), BusError> {
    soon(async { bus.publish(message).await?.accepted().await.map(|_| ()) }).await
}
