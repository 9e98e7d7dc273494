//! The relay between the outbox and a bus.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::{Backoff, Group, MemoryBus, RetryPolicy, TopicPattern, TraceContext};
use tbx_store::outbox::{OutboxStore, Relay, RelayState, Route};
use tbx_store::sqlite::SqliteDeadLetters;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::{Fixture, fixture, message};

const DEADLINE: Duration = Duration::from_secs(20);

struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        }
    }
}

fn relay(fixture: &Fixture, bus: &MemoryBus) -> Relay {
    let route = Route::new("c", Arc::new(bus.clone())).with_backoff(Backoff::for_test());
    Relay::new(Arc::new(fixture.outbox.clone()), [route]).with_drain_timeout(Duration::from_millis(200))
}

/// Relays to a consumer that tells what it handles and fails on the topic `bad`.
fn run(relay: Relay, bus: &MemoryBus) -> (Running, mpsc::UnboundedReceiver<Incoming>) {
    let (tell, told) = mpsc::unbounded_channel();
    let handler = tower::service_fn(move |incoming: Incoming| {
        let tell = tell.clone();
        async move {
            let bad = incoming.message.topic().as_str() == "bad";
            tell.send(incoming).map_err(|_| Failure::permanent("nobody listens"))?;
            if bad { Err(Failure::transient("bad")) } else { Ok(()) }
        }
    });
    let consumer = Consumer::new(Arc::new(bus.clone()), group(), handler).with_retry(RetryPolicy::for_test());
    let stop = CancellationToken::new();
    let tasks = vec![tokio::spawn(consumer.run(stop.clone())), tokio::spawn(relay.run(stop.clone()))];
    (Running { stop, tasks }, told)
}

fn group() -> Group {
    Group::new("g", [TopicPattern::everything()]).with_single_active()
}

async fn next(told: &mut mpsc::UnboundedReceiver<Incoming>) -> Incoming {
    tokio::time::timeout(DEADLINE, told.recv()).await.expect("a message in time").unwrap()
}

async fn settled(fixture: &Fixture) {
    let all = async {
        loop {
            let stats = fixture.outbox.stats().await.unwrap();
            if stats.pending + stats.handed == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, all).await.expect("everything settled in time");
}

#[tokio::test]
async fn what_was_committed_is_published_in_the_order_of_its_key_and_settled() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    let sent: Vec<_> = (0..30).map(|_| message("a", Some("k"))).collect();
    for message in &sent[..10] {
        fixture.append("c", message).await;
    }
    let (running, mut told) = run(relay(&fixture, &bus), &bus);
    for message in &sent[10..] {
        fixture.append("c", message).await;
    }
    for message in &sent {
        assert_eq!(next(&mut told).await.message.id(), message.id());
    }
    settled(&fixture).await;
    running.stop().await;
}

#[tokio::test]
async fn a_refused_message_is_published_later_and_not_charged() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    fixture.append("c", &message("a", None)).await;
    // Nobody takes the topic until the consumer comes.
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay(&fixture, &bus).run(stop.clone()));
    let attempts = || async {
        sqlx::query_scalar::<_, i64>("SELECT attempts FROM tbx_outbox")
            .fetch_one(fixture.database.writer())
            .await
            .unwrap()
    };
    let mut consumer = tbx_bus::Subscriber::consume(&bus, &group()).await.unwrap();
    let delivery = tokio::time::timeout(DEADLINE, consumer.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(attempts().await, 1);
    delivery.ack().await.unwrap();
    settled(&fixture).await;
    stop.cancel();
    relaying.await.unwrap();
}

#[tokio::test]
async fn a_lost_confirm_is_a_repetition_and_no_loss() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    bus.faults().lose_confirms(1);
    let (running, mut told) = run(relay(&fixture, &bus), &bus);
    let sent = message("a", None);
    fixture.append("c", &sent).await;
    for _ in 0..2 {
        assert_eq!(next(&mut told).await.message.id(), sent.id());
    }
    settled(&fixture).await;
    running.stop().await;
}

#[tokio::test]
async fn a_cut_bus_gets_everything_again() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    let mut consumer = tbx_bus::Subscriber::consume(&bus, &group()).await.unwrap();
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay(&fixture, &bus).run(stop.clone()));
    let sent = message("a", Some("k"));
    fixture.append("c", &sent).await;
    let delivery = consumer.next().await.unwrap().unwrap();
    bus.faults().cut();
    assert!(delivery.ack().await.is_err());
    let mut consumer = tbx_bus::Subscriber::consume(&bus, &group()).await.unwrap();
    let delivery = tokio::time::timeout(DEADLINE, consumer.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(delivery.message().id(), sent.id());
    delivery.ack().await.unwrap();
    // The relay published it once more, because it could not know.
    let delivery = tokio::time::timeout(DEADLINE, consumer.next()).await.unwrap().unwrap().unwrap();
    delivery.ack().await.unwrap();
    settled(&fixture).await;
    stop.cancel();
    relaying.await.unwrap();
}

#[tokio::test]
async fn a_message_that_keeps_failing_becomes_a_dead_letter_and_its_key_goes_on() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    let (running, mut told) = run(relay(&fixture, &bus), &bus);
    let (bad, good) = (message("bad", Some("k")), message("good", Some("k")));
    fixture.append("c", &bad).await;
    fixture.append("c", &good).await;
    for attempt in 1..=3 {
        let incoming = next(&mut told).await;
        assert_eq!((incoming.message.id(), incoming.attempt), (bad.id(), attempt));
    }
    assert_eq!(next(&mut told).await.message.id(), good.id());
    settled(&fixture).await;
    let letters = SqliteDeadLetters::new(fixture.database.writer().clone(), "c").list(0, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.group.as_str(), letter.reason.as_str()), ("g", "attempts-exhausted"));
    running.stop().await;
}

#[tokio::test]
async fn a_clean_stop_charges_nothing() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    let mut consumer = tbx_bus::Subscriber::consume(&bus, &group()).await.unwrap();
    let stop = CancellationToken::new();
    let relaying = tokio::spawn(relay(&fixture, &bus).run(stop.clone()));
    fixture.append("c", &message("a", None)).await;
    let _held = tokio::time::timeout(DEADLINE, consumer.next()).await.unwrap().unwrap().unwrap();
    stop.cancel();
    relaying.await.unwrap();
    let stats = fixture.outbox.stats().await.unwrap();
    assert_eq!((stats.pending, stats.handed), (1, 0));
    let claimed = fixture.outbox.settle_and_claim(&[], &[("c", 1)], Utc::now()).await.unwrap();
    assert_eq!(claimed[0].attempts, 1);
}

#[tokio::test]
async fn after_a_crash_what_was_under_way_is_tried_alone_and_only_the_culprit_is_given_up() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    let (innocent, culprit) = (message("a", None), message("a", None));
    fixture.append("c", &innocent).await;
    fixture.append("c", &culprit).await;
    // A process hands both over and ends; four more end while they try the culprit alone.
    let claimed = fixture.outbox.settle_and_claim(&[], &[("c", 10)], Utc::now()).await.unwrap();
    for _ in 0..4 {
        fixture.outbox.charge(claimed[1].id).await.unwrap();
    }
    let relay = relay(&fixture, &bus).with_max_attempts(5);
    let mut state = relay.state();
    let (running, mut told) = run(relay, &bus);
    assert_eq!(next(&mut told).await.message.id(), innocent.id());
    tokio::time::timeout(DEADLINE, state.wait_for(|state| *state == RelayState::Running))
        .await
        .unwrap()
        .unwrap();
    settled(&fixture).await;
    let letters = SqliteDeadLetters::new(fixture.database.writer().clone(), "c").list(0, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(
        (letter.message_id.as_str(), letter.reason.as_str(), letter.attempts),
        (culprit.id().as_str(), "crashed", 5)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_message_leaves_as_a_part_of_its_trace_with_a_span_of_its_own() {
    let (fixture, bus) = (fixture().await, MemoryBus::new());
    let trace = TraceContext::generate().with_tracestate("vendor=1");
    let (running, mut told) = run(relay(&fixture, &bus), &bus);
    fixture.append("c", &message("a", Some("k")).with_trace(Some(trace.clone()))).await;
    fixture.append("c", &message("a", Some("k"))).await;
    let sent = next(&mut told).await;
    let sent = sent.message.trace().unwrap();
    assert_eq!((sent.trace_id(), sent.tracestate()), (trace.trace_id(), trace.tracestate()));
    assert_ne!(sent.span_id(), trace.span_id());
    assert_eq!(next(&mut told).await.message.trace(), None, "no trace is made up");
    settled(&fixture).await;
    running.stop().await;
}
