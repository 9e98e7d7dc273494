//! What a message costs when there are many topics, each with a subscriber, against few.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tbx_bus::{MessageId, Topic, TopicPattern};
use tbx_notify::history::{History, MemoryHistory, Retention};
use tbx_notify::hub::{Hub, HubOptions, Next, Start};
use tbx_notify::{EventName, Notification, TopicSet};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::report::Report;

const RUNS: usize = 7;
const FEW: usize = 10;
const MANY: usize = 10_000;
const MESSAGES: usize = 100_000;

pub(crate) fn run(report: &mut Report) {
    // Interleaved, because the machine drifts.
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        let (few, many) = (cost_per_message(FEW), cost_per_message(MANY));
        println!("       {:.2} µs with {FEW} topics, {:.2} µs with {MANY}", micros(few), micros(many));
        ratios.push(micros(many) / micros(few));
    }
    report.at_most("cost per message with 10,000 topics over that with 10", "times", 1.2, ratios);
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Publishes round-robin over all topics, each with one reader in a task of its own, until every message was delivered.
fn cost_per_message(topics: usize) -> Duration {
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
