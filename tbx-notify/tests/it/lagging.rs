//! A position that another process has shown first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::Topic;
use tbx_notify::history::{Appended, Bounds, History, HistoryError, Matching, MemoryHistory};
use tbx_notify::hub::{Fallback, GapReason, Hub, HubOptions, Next, Reader, Start};
use tbx_notify::{Entry, Notification, Position, TopicSet};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::support::{bodies, notification, within};
use super::websocket_client::Client;

/// A history that other processes share: this one has seen a part of it, and must ask for the rest.
struct Shared {
    inner: MemoryHistory,
    seen: watch::Sender<u64>,
    /// How many questions may be answered.
    answers: tokio::sync::Semaphore,
    /// Whether questions fail instead.
    is_away: AtomicBool,
}

struct Fixture {
    history: Arc<Shared>,
    hub: Hub,
    _stop: DropGuard,
}

/// Four entries, of which this process has seen two.
async fn fixture() -> Fixture {
    let history = Arc::new(Shared {
        inner: MemoryHistory::default(),
        seen: watch::Sender::new(0),
        answers: tokio::sync::Semaphore::new(0),
        is_away: AtomicBool::new(false),
    });
    for body in ["1", "2", "3", "4"] {
        history.inner.append(notification("a", body)).await.unwrap();
    }
    history.seen.send_replace(2);
    let hub = Hub::new(history.clone(), HubOptions::default());
    let stop = CancellationToken::new();
    tokio::spawn(hub.clone().run(stop.clone()));
    Fixture { history, hub, _stop: stop.drop_guard() }
}

impl Fixture {
    fn resume(&self, offset: u64) -> (Reader, Position) {
        let position = Position::new(self.history.bounds().epoch, offset);
        let start = Start::After { position: position.to_string(), otherwise: Fallback::Head };
        (self.hub.read(TopicSet::everything(), start).unwrap(), position)
    }

    async fn catches_up(&self) {
        self.history.seen.send_replace(self.history.inner.bounds().newest);
        let newest = self.history.inner.bounds().newest;
        within(async {
            while self.hub.head().offset < newest {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn is_pending(reader: &mut Reader) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(reader.poll_next(cx).is_pending())).await
}

#[tokio::test]
async fn a_position_that_others_have_shown_is_looked_for_and_waited_for() {
    let fixture = fixture().await;
    let (mut reader, position) = fixture.resume(3);
    assert!(is_pending(&mut reader).await && reader.is_catching_up());
    assert_eq!((reader.position(), reader.checkpoint()), (position, position));
    fixture.history.answers.add_permits(1);
    within(reader.settle()).await;
    assert!(is_pending(&mut reader).await && !reader.is_catching_up());
    assert_eq!(
        (reader.position(), reader.checkpoint()),
        (position, position),
        "it does not go back to the head"
    );
    fixture.catches_up().await;
    assert_eq!(bodies(&mut reader, 1).await, ["4"], "what came before its position does not come again");
}

#[tokio::test]
async fn a_position_that_nobody_has_shown_is_told_as_unknown_once_that_is_known() {
    let fixture = fixture().await;
    let (mut reader, position) = fixture.resume(9);
    assert!(is_pending(&mut reader).await);
    fixture.history.answers.add_permits(1);
    let next = within(reader.next()).await;
    let Next::Gap(gap) = next else { panic!("a gap, not {next:?}") };
    assert_eq!((gap.reason, gap.requested), (GapReason::Unknown, Some(position.to_string())));
    assert_eq!(gap.resumes_after, reader.position());
    fixture.catches_up().await;
    assert_eq!(bodies(&mut reader, 2).await, ["3", "4"], "it goes on from the head");
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_a_position_is_looked_for_costs_nobody_their_place() {
    let fixture = fixture().await;
    fixture.history.is_away.store(true, Ordering::SeqCst);
    let (mut reader, position) = fixture.resume(3);
    let outage = tokio::time::timeout(Duration::from_secs(20), reader.settle());
    assert!(outage.await.is_err(), "there is no answer yet");
    fixture.history.is_away.store(false, Ordering::SeqCst);
    fixture.history.answers.add_permits(1);
    within(reader.settle()).await;
    assert_eq!(reader.position(), position);
    fixture.catches_up().await;
    assert_eq!(bodies(&mut reader, 1).await, ["4"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_cannot_be_looked_for_in_time_is_told_as_unknown() {
    let fixture = fixture().await;
    fixture.history.is_away.store(true, Ordering::SeqCst);
    let (mut reader, _) = fixture.resume(3);
    let Next::Gap(gap) = reader.next().await else { panic!("a gap") };
    assert_eq!(gap.reason, GapReason::Unknown);
}

#[tokio::test]
async fn a_position_that_is_known_here_is_not_asked_for() {
    let fixture = fixture().await;
    let (mut reader, _) = fixture.resume(1);
    assert_eq!(bodies(&mut reader, 1).await, ["2"]);
}

#[tokio::test]
async fn a_hub_that_closes_does_not_wait_for_an_answer() {
    let fixture = fixture().await;
    let (mut reader, _) = fixture.resume(3);
    assert!(is_pending(&mut reader).await);
    fixture.hub.close();
    assert!(matches!(within(reader.next()).await, Next::Closing));
}

#[tokio::test]
async fn a_stream_that_waits_for_an_answer_ends_when_its_hub_drains() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let fixture = fixture().await;
    let position = Position::new(fixture.history.bounds().epoch, 3);
    let request = http::Request::get(format!("/?lastEventId={position}")).body(()).unwrap();
    let body =
        tbx_notify::sse::SseService::new(fixture.hub.clone()).oneshot(request).await.unwrap().into_body();
    let collecting = tokio::spawn(body.collect());
    within(async {
        while fixture.hub.readers() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    fixture.hub.close();
    let told = within(collecting).await.unwrap().unwrap().to_bytes();
    let told = std::str::from_utf8(&told).unwrap();
    assert!(told.contains("retry:") && told.contains(&position.to_string()), "{told}");
}

#[tokio::test]
async fn a_stream_says_connected_and_a_gap_in_one_write_also_when_the_answer_comes_late() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let fixture = fixture().await;
    let position = Position::new(fixture.history.bounds().epoch, 9);
    let request = http::Request::get(format!("/?lastEventId={position}")).body(()).unwrap();
    let mut body =
        tbx_notify::sse::SseService::new(fixture.hub.clone()).oneshot(request).await.unwrap().into_body();
    fixture.history.answers.add_permits(1);
    let first = within(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    let first = std::str::from_utf8(&first).unwrap();
    assert!(first.contains("event: connected") && first.contains("event: gap"), "{first}");
}

#[tokio::test]
async fn topics_that_a_client_adds_ahead_of_the_hub_can_be_asked_for_from_earlier_on() {
    let fixture = fixture().await;
    let position = Position::new(fixture.history.bounds().epoch, 3);
    fixture.history.answers.add_permits(1);
    let service = tbx_notify::websocket::WebSocketService::new(fixture.hub.clone());
    let mut client = Client::connect(&service, &format!("/?topics=&after={position}")).await;
    assert_eq!(client.hear_of("connected").await["position"], position.to_string());
    client.say(r#"{"type":"subscribe","topics":["a"]}"#).await;
    client.hear_of("subscribed").await;
    let all = Position::new(position.epoch, 0);
    client.say(&format!(r#"{{"type":"subscribe","topics":["a"],"after":"{all}"}}"#)).await;
    client.hear_of("subscribed").await;
    fixture.catches_up().await;
    let told = within(client.numbers(4)).await;
    let mut numbers: Vec<_> = told.into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[async_trait]
impl History for Shared {
    async fn append(&self, notification: Notification) -> Result<Appended, HistoryError> {
        self.inner.append(notification).await
    }

    fn bounds(&self) -> Bounds {
        Bounds { newest: *self.seen.borrow(), ..self.inner.bounds() }
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.seen.subscribe()
    }

    async fn reaches(&self, position: Position) -> Result<bool, HistoryError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(HistoryError::new("away"));
        }
        self.answers.acquire().await.map_err(|_| HistoryError::new("closed"))?.forget();
        let Bounds { epoch, newest, .. } = self.inner.bounds();
        Ok(position.epoch == epoch && position.offset <= newest)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, HistoryError> {
        let seen = self.bounds().newest;
        let mut entries = self.inner.read(after, limit).await?;
        entries.retain(|entry| entry.offset() <= seen);
        Ok(entries)
    }

    async fn read_matching(
        &self,
        topics: &TopicSet,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Matching, HistoryError> {
        self.inner.read_matching(topics, after, through, limit).await
    }

    fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        self.inner.has_trimmed(topics, after)
    }

    fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.inner.newest_of(topic)
    }

    async fn check(&self) -> Result<(), HistoryError> {
        self.inner.check().await
    }
}
