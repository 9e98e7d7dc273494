//! What a message costs when there are many topics, each with a subscriber, against few.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tbx_bus::{MessageId, Topic, TopicPattern};
use tbx_it::Setup;
use tbx_notify::history::{History, MemoryHistory, Retention};
use tbx_notify::hub::{Hub, HubOptions, Next, Start};
use tbx_notify::{EventName, Notification, TopicSet};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::report::Report;

const RUNS: usize = 5;
const FEW: usize = 10;
const MANY: usize = 10_000;
const MESSAGES: usize = 100_000;
const POSTS: usize = 20_000;
const PUBLISHERS: usize = 16;

pub(crate) fn run(report: &mut Report) {
    // Interleaved, because the machine drifts.
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        let (few, many) = (hub_cost_per_message(FEW), hub_cost_per_message(MANY));
        println!(
            "       the hub alone: {:.2} µs with {FEW} topics, {:.2} µs with {MANY}",
            micros(few),
            micros(many)
        );
        let (few, many) = (process_cost_per_message(FEW), process_cost_per_message(MANY));
        println!(
            "       the process: {:.0} µs with {FEW} topics, {:.0} µs with {MANY}",
            micros(few),
            micros(many)
        );
        ratios.push(micros(many) / micros(few));
    }
    report.at_most("cost per message with 10,000 topics over that with 10", "times", 1.2, ratios);
}

/// The processor time of the real notifier for one message, from the POST to the bytes on the one stream that wants it.
fn process_cost_per_message(topics: usize) -> Duration {
    crate::runtime().block_on(async {
        let setup = Setup::new().with("TBX_LOG", "warn,tbx=info");
        let tbx = setup.start().await;
        let mut streams = JoinSet::new();
        let wanted = POSTS / topics;
        for number in 0..topics {
            let mut stream =
                tbx.stream(&format!("/api/notifications/stream?topics=order.n{number}"), None).await;
            assert_eq!(stream.next().await.expect("a stream").event, "connected");
            // Many have less than one message each: the first of them have theirs.
            let wanted = wanted + usize::from(number < POSTS % topics);
            streams.spawn(async move {
                for _ in 0..wanted {
                    stream.next().await.expect("the stream goes on");
                }
                // Kept open to the end, so that as many streams stand by as topics were asked for.
                stream
            });
        }
        let before = processor_time(tbx.id());
        let mut publishers = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let mut notifier = tbx.notifier();
            publishers.spawn(async move {
                for number in (publisher..POSTS).step_by(PUBLISHERS) {
                    let topic = format!("order.n{}", number % topics);
                    let body = serde_json::json!({ "topic": topic, "event": "Happened", "data": number });
                    let answer =
                        notifier.json(http::Method::POST, "/api/notifications", &body).await.unwrap();
                    assert_eq!(answer.status, 202);
                }
            });
        }
        publishers.join_all().await;
        let open = streams.join_all().await;
        let cost = (processor_time(tbx.id()) - before) / u32::try_from(POSTS).unwrap();
        drop(open);
        cost
    })
}

/// User and system time of a process so far (proc(5), fields 14 and 15 of `stat`, in ticks of 10 ms).
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Publishes round-robin over all topics, each with one reader in a task of its own, until every message was delivered.
fn hub_cost_per_message(topics: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let retention = Retention { max_count: 10_000, max_age: Duration::from_secs(3600) };
        let history = Arc::new(MemoryHistory::new(retention));
        let hub = Hub::new(history.clone(), HubOptions::default());
        let stop = CancellationToken::new();
        let following = tokio::spawn(hub.clone().run(stop.clone()));
        let topics: Vec<Topic> =
            (0..topics).map(|number| Topic::new(&format!("order.n{number}")).unwrap()).collect();
        let mut readers = JoinSet::new();
        for topic in &topics {
            let wanted = MESSAGES / topics.len();
            let mut reader =
                hub.read(TopicSet::new([TopicPattern::from(topic)]).unwrap(), Start::Head).unwrap();
            readers.spawn(async move {
                for _ in 0..wanted {
                    if !matches!(reader.next().await, Next::Entry(_)) {
                        return false;
                    }
                }
                true
            });
        }
        tokio::task::yield_now().await;
        let event = EventName::new("Happened").unwrap();
        let started = Instant::now();
        for (number, topic) in topics.iter().cycle().take(MESSAGES).enumerate() {
            let notification =
                Notification::new(MessageId::generate(), topic.clone(), event.clone(), "{}").unwrap();
            history.append(notification).await.unwrap();
            // Now and then the hub and the readers have their turn, as they do beside a real publisher.
            if number % 64 == 63 {
                let newest = history.bounds().newest;
                while hub.head().offset < newest {
                    tokio::task::yield_now().await;
                }
            }
        }
        assert!(readers.join_all().await.into_iter().all(|complete| complete), "a reader was told of a gap");
        let cost = started.elapsed() / u32::try_from(MESSAGES).unwrap();
        stop.cancel();
        following.await.unwrap();
        cost
    })
}
