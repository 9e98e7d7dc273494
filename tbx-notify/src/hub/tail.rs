//! The hub itself: follows the history, admits readers, closes.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tbx_bus::{Backoff, TopicPattern};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::drain::Departures;
use super::feed::{Feed, WakeCell};
use super::limits::{HubFull, HubOptions};
use super::reader::Reader;
use super::seat::Seat;
use super::slow::SlowRules;
use super::span::fanning_out;
use super::start::Start;
use super::transport::Transport;
use super::window::Window;
use crate::history::{History, HistoryError};
use crate::{Position, TopicSet};

/// How many entries are taken from the history at a time.
const BATCH: usize = 512;
/// How often it is logged that readers cannot read.
const COMPLAINTS: Duration = Duration::from_secs(5);

/// Follows one history and serves any number of readers. A clone is the same hub.
///
/// ```
/// use std::sync::Arc;
/// use tbx_bus::{MessageId, Topic};
/// use tbx_notify::history::{History, MemoryHistory};
/// use tbx_notify::hub::{Hub, HubOptions, Next, Start};
/// use tbx_notify::{EventName, Notification, TopicSet};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let history = Arc::new(MemoryHistory::default());
/// let hub = Hub::new(history.clone(), HubOptions::default());
/// let stop = CancellationToken::new();
/// let following = tokio::spawn(hub.clone().run(stop.clone()));
///
/// let mut reader = hub.read(TopicSet::parse("order.*")?, Start::Head)?;
/// let news = Notification::new(MessageId::generate(), Topic::new("order.placed")?, EventName::new("OrderPlaced")?, "{}")?;
/// history.append(news).await?;
///
/// let Next::Entry(entry) = reader.next().await else { panic!("an entry") };
/// assert_eq!(entry.notification().event().as_str(), "OrderPlaced");
/// stop.cancel();
/// following.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

pub(super) struct Shared {
    pub(super) history: Arc<dyn History>,
    /// Taken to publish, to join and to leave; never to read. Lock order: the window before any feed.
    window: Mutex<Window>,
    /// The head of the window, for readers, who never take its lock.
    head: Arc<AtomicU64>,
    max_readers: usize,
    pub(super) max_behind: u64,
    pub(super) slow: SlowRules,
    readers: AtomicUsize,
    by_transport: [AtomicUsize; Transport::ALL.len()],
    closing: AtomicBool,
    /// Reaches every reader, whatever its patterns.
    everyone: Feed,
    pub(super) departures: Departures,
    /// Told when the hub has heard of more of the history.
    advanced: Notify,
    /// When readers last complained of the history.
    complained: Mutex<Option<Instant>>,
}

impl Hub {
    /// A hub over `history`. Nothing flows until [`run`](Self::run) does.
    #[must_use]
    pub fn new(history: Arc<dyn History>, options: HubOptions) -> Self {
        let newest = history.bounds().newest;
        let head = Arc::new(AtomicU64::new(newest));
        Self(Arc::new(Shared {
            history,
            window: Mutex::new(Window::new(Arc::clone(&head), &options)),
            head,
            max_readers: options.max_readers,
            max_behind: options.max_behind,
            slow: options.slow,
            readers: AtomicUsize::new(0),
            by_transport: Default::default(),
            closing: AtomicBool::new(false),
            everyone: Feed::new(TopicPattern::everything(), 0),
            departures: Departures::default(),
            advanced: Notify::new(),
            complained: Mutex::new(None),
        }))
    }

    /// Follows the history until `stop` is cancelled, through any failure of it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: another `run` goes on where this one was.
    pub async fn run(self, stop: CancellationToken) {
        let mut newest = self.0.history.newest();
        let backoff = Backoff::fast();
        let mut failures = 0;
        loop {
            let head = self.0.head();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                grown = newest.wait_for(|newest| *newest > head) => if grown.is_err() {
                    return;
                },
            }
            match self.0.history.read(head, BATCH).await {
                Ok(entries) => {
                    failures = 0;
                    if entries.is_empty() {
                        // All of it was trimmed before it was read.
                        let bounds = self.0.history.bounds();
                        self.0.window().skip_to(bounds.tail().offset.max(head));
                    }
                    for entry in &entries {
                        fanning_out(entry).in_scope(|| self.0.window().push(entry));
                    }
                    self.0.advanced.notify_waiters();
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "history not followed, trying again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(backoff.delay(failures)) => {}
                    }
                }
            }
        }
    }

    /// Admits a reader, counted as [`Transport::Other`].
    ///
    /// # Errors
    ///
    /// When the hub is full or closing.
    pub fn read(&self, topics: TopicSet, start: Start) -> Result<Reader, HubFull> {
        self.read_as(Transport::Other, topics, start)
    }

    /// Admits a reader of a client that is connected in this way.
    ///
    /// # Errors
    ///
    /// When the hub is full or closing.
    pub fn read_as(&self, transport: Transport, topics: TopicSet, start: Start) -> Result<Reader, HubFull> {
        if self.is_closing() {
            return Err(HubFull);
        }
        if self.0.readers.fetch_add(1, Ordering::AcqRel) >= self.0.max_readers {
            self.0.readers.fetch_sub(1, Ordering::AcqRel);
            return Err(HubFull);
        }
        self.0.by_transport[transport.index()].fetch_add(1, Ordering::Relaxed);
        Ok(Reader::new(Arc::clone(&self.0), Some(transport), topics, start))
    }

    /// The place up to which readers have been served.
    #[must_use]
    pub fn head(&self) -> Position {
        self.0.history.position_at(self.0.head())
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.readers.load(Ordering::Acquire)
    }

    /// How many readers there are of each kind.
    #[must_use]
    pub fn readers_by_transport(&self) -> Vec<(Transport, usize)> {
        let count = |transport: Transport| self.0.by_transport[transport.index()].load(Ordering::Relaxed);
        Transport::ALL.iter().map(|transport| (*transport, count(*transport))).collect()
    }

    /// The `limit` patterns with the most readers, and how many each has, most first. Looks at every pattern: for operators, not for each request.
    #[must_use]
    pub fn busiest_patterns(&self, limit: usize) -> Vec<(TopicPattern, usize)> {
        // Only gathered under the lock, which publishing takes too.
        let feeds = self.0.window().feeds();
        let mut counts: Vec<_> = feeds.iter().map(|feed| (feed.pattern.clone(), feed.readers())).collect();
        counts.sort_unstable_by(|(a, readers_of_a), (b, readers_of_b)| {
            readers_of_b.cmp(readers_of_a).then_with(|| a.cmp(b))
        });
        counts.truncate(limit);
        counts
    }

    /// Tells every reader to leave and admits no more. To spread their return over time, and to wait for them, see [`drain`](Self::drain).
    pub fn close(&self) {
        self.stop_admitting();
        for reader in self.0.everyone.cells() {
            reader.dismiss();
        }
    }

    pub(super) fn stop_admitting(&self) {
        self.0.closing.store(true, Ordering::Release);
        self.0.advanced.notify_waiters();
    }

    /// The newest offset of the history, of which the hub may not have heard yet.
    #[cfg(feature = "websocket")]
    pub(crate) fn newest(&self) -> u64 {
        self.0.history.bounds().newest
    }

    /// Waits until it has heard of all that is in the history now: who was told that something is stored finds it.
    #[cfg(feature = "poll")]
    pub(crate) async fn catch_up(&self) {
        let newest = self.0.history.bounds().newest;
        loop {
            // Registered before looking, so that what comes in between is not missed.
            let mut advanced = std::pin::pin!(self.0.advanced.notified());
            advanced.as_mut().enable();
            if self.0.head() >= newest || self.is_closing() {
                return;
            }
            advanced.await;
        }
    }

    /// The tasks of connections that the crate has spawned itself; [`drain`](Self::drain) waits for them.
    #[cfg(feature = "websocket")]
    pub(crate) fn connections(&self) -> &tokio_util::task::TaskTracker {
        self.0.departures.connections()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }
}

impl Shared {
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Logs that the history could not be read: once in a while, because thousands of readers may find that at once.
    pub(super) fn complain(&self, error: &HistoryError) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
            *complained = Some(Instant::now());
            tracing::warn!(%error, cause = ?std::error::Error::source(error), "history not read, readers try again");
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn everyone(&self) -> &Feed {
        &self.everyone
    }

    /// A place in the feed of each pattern.
    pub(super) fn take_seats(&self, topics: &TopicSet, cell: &Arc<WakeCell>) -> Vec<Seat> {
        // Joined under the lock: a feed that nobody has joined may be removed by whoever leaves it last.
        let mut window = self.window();
        let patterns = topics.patterns().iter();
        patterns.map(|pattern| Seat::take(window.feed(pattern), Arc::clone(cell))).collect()
    }

    /// Leaves, and removes the feeds that nobody else reads.
    pub(super) fn leave_seats(&self, seats: &[Seat]) {
        let mut window = self.window();
        for seat in seats {
            if seat.leave() {
                window.remove(&seat.feed().pattern);
            }
        }
    }

    /// A reader is gone.
    pub(super) fn departed(&self, seats: &[Seat], place_among_all: usize, counted_as: Option<Transport>) {
        self.leave_seats(seats);
        self.everyone.leave(place_among_all);
        if let Some(transport) = counted_as {
            self.by_transport[transport.index()].fetch_sub(1, Ordering::Relaxed);
            if self.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.departures.all_gone();
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("readers", &self.readers()).finish_non_exhaustive()
    }
}
