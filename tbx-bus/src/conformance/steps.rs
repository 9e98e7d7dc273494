//! The steps that the behaviours are told in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::Harness;
use crate::consumer::{Consumer, ConsumerState, Failure, Incoming};
use crate::{
    Broadcast, BusError, BusErrorKind, DeadLetter, Deliveries, Delivery, Group, Message, MessageId, Topic,
    TopicPattern,
};

/// How often a condition is looked at that cannot be waited on.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(super) fn topic(text: &str) -> Topic {
    Topic::new(text).expect("the suite's topics are well formed")
}

pub(super) fn pattern(text: &str) -> TopicPattern {
    TopicPattern::new(text).expect("the suite's patterns are well formed")
}

pub(super) fn message(on: &str, body: &str) -> Message {
    Message::new(topic(on), "Happened", body.to_owned())
}

pub(super) fn keyed(on: &str, key: &str, body: &str) -> Message {
    message(on, body).with_key(key).expect("the suite's keys are well formed")
}

pub(super) fn group(name: &str, wanted: &str) -> Group {
    Group::new(name, [pattern(wanted)])
}

pub(super) fn body(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

/// Waits for what must happen.
pub(super) async fn within<T>(harness: &dyn Harness, what: &str, happens: impl Future<Output = T>) -> T {
    let patience = harness.terms().patience;
    match tokio::time::timeout(patience, happens).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: did not happen within {patience:?}"),
    }
}

/// Publishes and waits for the confirmation.
pub(super) async fn publish(harness: &dyn Harness, message: Message) -> MessageId {
    let id = message.id().clone();
    within(harness, "publishing", async {
        let receipt = harness.publisher().publish(message).await.expect("the message is taken");
        receipt.accepted().await.expect("the message is confirmed");
    })
    .await;
    id
}

/// Publishes what must be refused, at once or by the receipt, and says how it was.
pub(super) async fn refusal(harness: &dyn Harness, message: Message) -> BusErrorKind {
    within(harness, "refusing", try_publish(harness, message)).await.expect_err("the message is refused")
}

pub(super) async fn try_publish(harness: &dyn Harness, message: Message) -> Result<(), BusErrorKind> {
    let receipt = harness.publisher().publish(message).await.map_err(|error| error.kind())?;
    receipt.accepted().await.map(|_| ()).map_err(|error| error.kind())
}

pub(super) async fn declare(harness: &dyn Harness, group: &Group) {
    within(harness, "declaring", harness.subscriber().declare(group)).await.expect("the group is declared");
}

/// Neither declares nor joins what the bus cannot or must not take.
pub(super) async fn refused(harness: &dyn Harness, group: &Group) {
    let declared = within(harness, "declaring", harness.subscriber().declare(group)).await;
    check_declaration(declared);
    let joined = within(harness, "joining", harness.subscriber().consume(group)).await;
    check_declaration(joined);
}

fn check_declaration<T: std::fmt::Debug>(outcome: Result<T, BusError>) {
    let error = outcome.expect_err("it is refused");
    assert_eq!(error.kind(), BusErrorKind::Declaration, "{error}");
}

pub(super) async fn join(harness: &dyn Harness, group: &Group) -> Deliveries {
    within(harness, "joining", harness.subscriber().consume(group)).await.expect("the group is joined")
}

pub(super) async fn listen(harness: &dyn Harness, broadcast: &Broadcast) -> Deliveries {
    within(harness, "listening", harness.subscriber().listen(broadcast))
        .await
        .expect("the broadcast is heard")
}

/// The next delivery, which must come.
pub(super) async fn take(harness: &dyn Harness, deliveries: &mut Deliveries) -> Delivery {
    within(harness, "the next delivery", deliveries.next())
        .await
        .expect("the connection holds")
        .expect("the bus is open")
}

/// The next delivery, acknowledged.
pub(super) async fn handle(harness: &dyn Harness, deliveries: &mut Deliveries) -> Arc<Message> {
    let delivery = take(harness, deliveries).await;
    let message = Arc::clone(delivery.message());
    delivery.ack().await.expect("acknowledged");
    message
}

/// Acknowledges `count` deliveries and returns their messages.
pub(super) async fn handle_many(
    harness: &dyn Harness,
    deliveries: &mut Deliveries,
    count: usize,
) -> Vec<Arc<Message>> {
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        messages.push(handle(harness, deliveries).await);
    }
    messages
}

/// Acknowledges whatever comes until nothing does.
pub(super) async fn handle_all(harness: &dyn Harness, deliveries: &mut Deliveries) -> Vec<Arc<Message>> {
    let mut messages = Vec::new();
    while let Ok(next) = tokio::time::timeout(harness.terms().silence, deliveries.next()).await {
        let delivery = next.expect("the connection holds").expect("the bus is open");
        messages.push(Arc::clone(delivery.message()));
        delivery.ack().await.expect("acknowledged");
    }
    messages
}

/// Watches for a while that no delivery comes.
pub(super) async fn nothing_comes(harness: &dyn Harness, deliveries: &mut Deliveries) {
    if let Ok(next) = tokio::time::timeout(harness.terms().silence, deliveries.next()).await {
        panic!("a delivery came that must not: {next:?}");
    }
}

/// The topic whose message ends [`check_routing`]; each of its takers wants it too.
pub(super) const THE_END: &str = "the-end";

/// Publishes on each topic, and compares what came on each pattern with the grammar.
pub(super) async fn check_routing(harness: &dyn Harness, takers: Vec<(&str, Deliveries)>, topics: &[&str]) {
    // So that no topic is unroutable.
    declare(harness, &Group::new("everything", topics.iter().map(|text| pattern(text)))).await;
    // All under one key, so that the end comes last everywhere.
    for text in topics {
        publish(harness, keyed(text, "k", text)).await;
    }
    publish(harness, keyed(THE_END, "k", "")).await;

    for (wanted, mut deliveries) in takers {
        let mut received = Vec::new();
        loop {
            let message = handle(harness, &mut deliveries).await;
            if message.topic().as_str() == THE_END {
                break;
            }
            received.push(message.topic().as_str().to_owned());
        }
        let expected: Vec<&str> =
            topics.iter().copied().filter(|text| pattern(wanted).matches(&topic(text))).collect();
        assert_eq!(received, expected, "pattern {wanted}");
    }
}

/// The letters of `group` in the sink, once there are `count`.
pub(super) async fn letters(harness: &dyn Harness, group: &str, count: usize) -> Vec<DeadLetter> {
    let deadline = tokio::time::Instant::now() + harness.terms().patience;
    loop {
        let letters = harness.dead_letters(group).await;
        if letters.len() >= count {
            assert_eq!(letters.len(), count, "more letters than messages given up: {letters:?}");
            return letters;
        }
        assert!(tokio::time::Instant::now() < deadline, "waiting for {count} letters, there are {letters:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Repeats what a bus may refuse for a moment.
pub(super) async fn eventually<F: Future<Output = Result<(), BusErrorKind>>>(
    harness: &dyn Harness,
    what: &str,
    mut attempt: impl FnMut() -> F,
) {
    within(harness, what, async {
        while attempt().await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}

/// Lets everyone else run `times` times.
pub(super) async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// What happened so far, to be waited on.
#[derive(Debug)]
pub(super) struct Journal<T>(Arc<watch::Sender<Vec<T>>>);

impl<T: Clone + std::fmt::Debug> Journal<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    pub(super) fn add(&self, entry: T) {
        self.0.send_modify(|entries| entries.push(entry));
    }

    pub(super) fn entries(&self) -> Vec<T> {
        self.0.borrow().clone()
    }

    /// The entries, once `enough` says so.
    pub(super) async fn wait(&self, harness: &dyn Harness, mut enough: impl FnMut(&[T]) -> bool) -> Vec<T> {
        let mut entries = self.0.subscribe();
        match tokio::time::timeout(harness.terms().patience, entries.wait_for(|all| enough(all))).await {
            Ok(all) => all.expect("the journal lives").clone(),
            Err(_) => panic!("waiting for more than {:?}", self.entries()),
        }
    }
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

type Handled = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A handler made of a function.
#[derive(Clone)]
pub(super) struct Handler(Arc<dyn Fn(Incoming) -> Handled + Send + Sync>);

impl Handler {
    pub(super) fn new<F>(handle: impl Fn(Incoming) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Self(Arc::new(move |incoming| Box::pin(handle(incoming))))
    }
}

impl Service<Incoming> for Handler {
    type Response = ();
    type Error = Failure;
    type Future = Handled;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> Handled {
        (self.0)(incoming)
    }
}

/// A consumer at work; dropped, it is gone.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) stop: CancellationToken,
    pub(super) state: watch::Receiver<ConsumerState>,
    task: JoinHandle<()>,
}

/// Runs `handler` on `group` and returns once it takes messages.
pub(super) async fn run(
    harness: &dyn Harness,
    group: &Group,
    handler: Handler,
    set_up: impl FnOnce(Consumer<Handler>) -> Consumer<Handler>,
) -> Running {
    let consumer = set_up(Consumer::new(harness.subscriber(), group.clone(), handler));
    let stop = CancellationToken::new();
    let state = consumer.state();
    let mut running = Running { task: tokio::spawn(consumer.run(stop.clone())), stop, state };
    within(harness, "starting the consumer", running.state.wait_for(ConsumerState::is_running))
        .await
        .expect("the consumer lives");
    running
}

impl Running {
    /// Waits for the end, which something else brings about.
    pub(super) async fn ended(&mut self, harness: &dyn Harness) {
        within(harness, "the end of the consumer", &mut self.task)
            .await
            .expect("the consumer does not panic");
    }

    pub(super) async fn stop(mut self, harness: &dyn Harness) {
        self.stop.cancel();
        self.ended(harness).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
