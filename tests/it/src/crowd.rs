//! Many followers that are cut off again and again while notifications flow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
use tbx_bus::{Topic, TopicPattern};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::follower::{Follower, Heard, Way};
use crate::{Client, eventually, within};

/// The topics that notifications are published on, each by a task of its own.
const TOPICS: [&str; 8] =
    ["load.a.x", "load.a.y", "load.b.x", "load.b.y", "load.c", "load.d.x.z", "other", "other.e"];
/// What followers follow; each pattern by some of them.
const PATTERNS: [&str; 9] = [
    "#",
    "load.#",
    "load.a.*",
    "load.*.x",
    "other",
    "load.a.x,load.c",
    "#.z,other.*",
    "load.b.y",
    "load.d.#",
];
/// How long a follower may take to the end: the crowd and its server share the processors of a test machine.
const PATIENCE: std::time::Duration = crate::DEADLINE.saturating_mul(5);
/// The event that tells a follower that nothing more comes.
const END: &str = "End";

/// What followers see must be this.
#[derive(Debug, Clone)]
pub struct Published {
    /// Position and topic of everything in the history, in order.
    history: Vec<(String, Topic)>,
}

/// Publishes `count` notifications and does not look at them again.
pub async fn publish_and_forget(address: watch::Receiver<SocketAddr>, count: usize) {
    for number in 0..count {
        publish_one(&address, TOPICS[number % TOPICS.len()], "Happened", number).await;
    }
    publish_one(&address, "end", END, count).await;
}

/// Publishes `count` notifications to wherever the notifier is at the moment, and again what was not answered; counts what was taken. Tells afterwards
/// that this was all.
///
/// # Panics
///
/// When something that was answered is not in the history, or is there twice.
pub async fn publish(
    address: watch::Receiver<SocketAddr>,
    count: usize,
    taken: Arc<AtomicUsize>,
) -> Published {
    let mut publishers = JoinSet::new();
    for (index, topic) in TOPICS.into_iter().enumerate() {
        let (address, taken) = (address.clone(), Arc::clone(&taken));
        let numbers = (index..count).step_by(TOPICS.len());
        publishers.spawn(async move {
            for number in numbers {
                publish_one(&address, topic, "Happened", number).await;
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    publishers.join_all().await;
    publish_one(&address, "end", END, count).await;
    let now = *address.borrow();
    let published = read_history(now).await;
    let mut told = BTreeMap::<u64, usize>::new();
    for (_, _, number) in &published {
        *told.entry(*number).or_default() += 1;
    }
    let missing: BTreeSet<u64> = (0..count as u64).filter(|number| !told.contains_key(number)).collect();
    assert!(missing.is_empty(), "answered and lost: {missing:?}");
    Published { history: published.into_iter().map(|(position, topic, _)| (position, topic)).collect() }
}

async fn publish_one(address: &watch::Receiver<SocketAddr>, topic: &str, event: &str, number: usize) {
    let body = json!({ "topic": topic, "event": event, "data": number });
    eventually("a notification is taken", || async {
        let now = *address.borrow();
        let mut client = Client::new(now);
        match client.json(Method::POST, "/api/notifications", &body).await {
            Ok(answer) if answer.status == 202 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Position, topic and number of everything in the history.
async fn read_history(address: SocketAddr) -> Vec<(String, Topic, u64)> {
    let (mut client, mut path) =
        (Client::new(address), "/api/notifications?from=oldest&limit=1000".to_owned());
    let mut all = Vec::new();
    loop {
        let page: Value = client.get(&path).await.unwrap().json();
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            return all;
        }
        for item in items {
            let text = |name: &str| item[name].as_str().unwrap();
            all.push((
                text("position").to_owned(),
                Topic::new(text("topic")).unwrap(),
                item["data"].as_u64().unwrap(),
            ));
        }
        path = format!("/api/notifications?limit=1000&after={}", page["next"].as_str().unwrap());
    }
}

/// A follower with the patterns it follows and how often it was cut off.
#[derive(Debug)]
pub struct Member {
    follower: Follower,
    patterns: Vec<TopicPattern>,
    first: String,
    cuts: usize,
}

impl Member {
    /// The `index`th of a crowd, connected.
    ///
    /// # Panics
    ///
    /// When it cannot connect.
    pub async fn join(index: usize, address: watch::Receiver<SocketAddr>) -> (Self, JoinedAs) {
        let way = [Way::Sse, Way::WebSocket][index % 2];
        let topics = PATTERNS[index / 2 % PATTERNS.len()];
        let patterns = topics.split(',').map(|text| TopicPattern::new(text).unwrap()).collect();
        let mut follower = Follower::new(way, &format!("{topics},end"), None);
        let now = *address.borrow();
        let mut connection = within("connected", follower.connect(now)).await.unwrap();
        let heard = within("the first word", follower.next(&mut connection)).await;
        assert_eq!(heard, Some(Heard::Connected));
        let first = follower.position().unwrap().to_owned();
        (Self { follower, patterns, first, cuts: 0 }, JoinedAs { address, connection })
    }

    /// Follows to the end, cut off `cuts` times after random numbers of notifications.
    ///
    /// # Panics
    ///
    /// When the end does not come in time.
    pub async fn follow(mut self, joined: JoinedAs, cuts: usize, between: usize) -> Self {
        let JoinedAs { address, connection } = joined;
        let mut connection = Some(connection);
        let done = tokio::time::timeout(PATIENCE, async {
            let mut left = fastrand::usize(1..=between);
            loop {
                let Some(open) = &mut connection else {
                    let now = *address.borrow();
                    connection = self.follower.connect(now).await.ok();
                    if connection.is_none() {
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    }
                    continue;
                };
                match self.follower.next(open).await {
                    Some(Heard::Event(event)) if event == END => return,
                    Some(Heard::Event(_)) => left -= 1,
                    Some(_) => {}
                    None => connection = None,
                }
                if left == 0 {
                    left = fastrand::usize(1..=between);
                    if self.cuts < cuts {
                        self.cuts += 1;
                        connection = None;
                    }
                }
            }
        })
        .await;
        assert!(
            done.is_ok(),
            "no end for {:?} after {} cuts: {:?}",
            self.patterns,
            self.cuts,
            self.follower.state()
        );
        self
    }

    /// Checks that it saw what it follows, all of it, once, and in order. Returns how much that was, and how often it was cut off.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[must_use]
    pub fn verify(&self, published: &Published) -> (usize, usize) {
        assert!(self.follower.gaps.is_empty(), "{:?}", self.follower.gaps);
        let first: u64 = offset(&self.first);
        let wanted = |(position, topic): &&(String, Topic)| {
            offset(position) > first
                && (topic.as_str() == "end" || self.patterns.iter().any(|pattern| pattern.matches(topic)))
        };
        let expected: Vec<&str> =
            published.history.iter().filter(wanted).map(|(position, _)| position.as_str()).collect();
        assert_eq!(self.follower.seen, expected, "{:?}", self.patterns);
        (expected.len(), self.cuts)
    }
}

/// The connection that a member joined with.
#[derive(Debug)]
pub struct JoinedAs {
    address: watch::Receiver<SocketAddr>,
    connection: crate::follower::Connection,
}

/// The number in a position, for comparing two of one history in a test; to clients it means nothing.
fn offset(position: &str) -> u64 {
    position.split_once('-').unwrap().1.parse().unwrap()
}
