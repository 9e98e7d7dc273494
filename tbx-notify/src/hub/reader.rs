//! One reader: a position, and what comes next from there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::feed::{Feed, NextInFeed, WakeCell};
use super::start::Start;
use super::tail::Shared;
use crate::history::HistoryError;
use crate::{Entry, Position, TopicSet};

/// How many entries are read from the history at a time: bounds what a reader that catches up holds.
const PAGE: usize = 64;
/// How long a reader waits before it asks a failed history again.
const HISTORY_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Reads what its topics want, from a position on, in order, each entry once. Dropping it leaves the hub.
#[must_use]
pub struct Reader {
    hub: Arc<Shared>,
    topics: TopicSet,
    feeds: Vec<(Arc<Feed>, usize)>,
    place_among_all: usize,
    wake: Arc<WakeCell>,
    /// Everything up to here was handed out or is of no interest.
    cursor: u64,
    /// Whether the reader has been up to date since it came, so that a gap means it was too slow.
    has_caught_up: bool,
    first_gap: Option<Gap>,
    page: std::vec::IntoIter<Arc<Entry>>,
    /// A read from the history, in a task of its own: a client that stops reading stops polling us, and would hold a connection of the
    /// history half-way through a query for as long as it likes.
    reading: Option<ReadingPage>,
}

/// A page under way; dropped, it is given up.
struct ReadingPage(JoinHandle<Page>);

impl Drop for ReadingPage {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Page {
    entries: Vec<Arc<Entry>>,
    /// Everything of interest up to here is in `entries`.
    complete_through: u64,
    trimmed: bool,
}

/// What a reader gets.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next {
    /// The next entry.
    Entry(Arc<Entry>),
    /// Something may have been missed.
    Gap(Gap),
    /// The hub closes: leave, and come back elsewhere or later.
    Closing,
}

/// What may have been missed, and where the reading goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The position that was asked for, as the client wrote it, shortened to the length of a position.
    pub requested: Option<String>,
    /// The place before the oldest entry kept.
    pub oldest: Position,
    /// The place after the newest entry.
    pub newest: Position,
    /// The place that the reading goes on after.
    pub resumes_after: Position,
}

/// Why something may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The client was away for longer than entries are kept.
    Trimmed,
    /// The client did not read for longer than entries are kept.
    Slow,
    /// The position is none of this history.
    Unknown,
}

impl GapReason {
    /// The word for it on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Slow => "slow",
            Self::Unknown => "unknown",
        }
    }
}

impl Reader {
    pub(super) fn new(
        hub: Arc<Shared>,
        topics: TopicSet,
        feeds: Vec<(Arc<Feed>, usize)>,
        wake: Arc<WakeCell>,
        start: Start,
    ) -> Self {
        let place_among_all = hub.everyone().join(Arc::clone(&wake));
        // After the feeds: what is published from here on cannot be missed.
        let head = hub.head();
        let (cursor, first_gap) = start.resolve(&hub.history.bounds(), head);
        Self {
            hub,
            topics,
            feeds,
            place_among_all,
            wake,
            cursor,
            has_caught_up: cursor >= head,
            first_gap,
            page: Vec::new().into_iter(),
            reading: None,
        }
    }

    /// What it reads.
    #[must_use]
    pub fn topics(&self) -> &TopicSet {
        &self.topics
    }

    /// The place after what was handed out: resuming there misses nothing and repeats nothing.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.hub.epoch, self.cursor)
    }

    /// Moves the position over entries that are of no interest, up to the newest, so that a reader of quiet topics stays near
    /// the head. Call it only after [`poll_next`](Self::poll_next) was pending. Returns the position.
    pub fn checkpoint(&mut self) -> Position {
        if self.reading.is_none() && self.page.len() == 0 {
            // The head first: an entry of interest that is published meanwhile lies behind it.
            let head = self.hub.head();
            if matches!(self.next_in_feeds(head), NextInFeed::Nothing) {
                self.cursor = self.cursor.max(head);
            }
        }
        self.position()
    }

    /// Waits for what comes next.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost or repeated.
    pub async fn next(&mut self) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What comes next, as a poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // Registered before looking, so that what is published in between wakes us.
        self.wake.register(cx.waker());
        if self.hub.is_closing() {
            return Poll::Ready(Next::Closing);
        }
        if let Some(gap) = self.first_gap.take() {
            return Poll::Ready(Next::Gap(gap));
        }
        loop {
            if let Some(entry) = self.page.next() {
                self.cursor = entry.offset();
                return Poll::Ready(Next::Entry(entry));
            }
            if self.reading.is_none() {
                match self.next_in_feeds(self.hub.head()) {
                    NextInFeed::Entry(entry) => {
                        self.cursor = entry.offset();
                        return Poll::Ready(Next::Entry(entry));
                    }
                    NextInFeed::Nothing => {
                        self.has_caught_up = true;
                        return Poll::Pending;
                    }
                    NextInFeed::Forgotten => {}
                }
            }
            let reading = self.reading.take().unwrap_or_else(|| self.read_page());
            let reading = self.reading.insert(reading);
            let read = std::task::ready!(Pin::new(&mut reading.0).poll(cx));
            self.reading = None;
            // A read that panicked was reported by the runtime; it is begun again.
            let Ok(page) = read else { continue };
            if let Some(gap) = self.turn_to(page) {
                return Poll::Ready(Next::Gap(gap));
            }
        }
    }

    /// What follows the cursor in all feeds, up to `head`: the smallest offset of all patterns.
    fn next_in_feeds(&self, head: u64) -> NextInFeed {
        let mut first: Option<Arc<Entry>> = None;
        for (feed, _) in &self.feeds {
            match feed.next_after(self.cursor, head) {
                NextInFeed::Forgotten => return NextInFeed::Forgotten,
                NextInFeed::Nothing => {}
                NextInFeed::Entry(entry) => {
                    if first.as_ref().is_none_or(|first| entry.offset() < first.offset()) {
                        first = Some(entry);
                    }
                }
            }
        }
        first.map_or(NextInFeed::Nothing, NextInFeed::Entry)
    }

    /// Reads on from the cursor to where the feeds begin.
    fn read_page(&self) -> ReadingPage {
        let history = Arc::clone(&self.hub.history);
        let (topics, after) = (self.topics.clone(), self.cursor);
        let through = self.feeds.iter().map(|(feed, _)| feed.complete_after()).max().unwrap_or_default();
        ReadingPage(tokio::spawn(async move {
            loop {
                match history.read_matching(&topics, after, through, PAGE).await {
                    Ok(entries) => {
                        let complete_through = match entries.last() {
                            Some(last) if entries.len() == PAGE => last.offset(),
                            _ => through.max(after),
                        };
                        // Asked after reading: whatever was trimmed before or meanwhile is told.
                        let trimmed = history.has_trimmed(&topics, after);
                        return Page { entries, complete_through, trimmed };
                    }
                    Err(error) => {
                        report(&error);
                        tokio::time::sleep(HISTORY_PAUSE).await;
                    }
                }
            }
        }))
    }

    /// Goes on with a page that was read. A gap comes before its entries.
    fn turn_to(&mut self, page: Page) -> Option<Gap> {
        let gap = page.trimmed.then(|| {
            let bounds = self.hub.history.bounds();
            let resumes_after = match page.entries.first() {
                Some(first) => first.offset() - 1,
                None => page.complete_through,
            };
            Gap {
                reason: if self.has_caught_up { GapReason::Slow } else { GapReason::Trimmed },
                requested: Some(self.position().to_string()),
                oldest: bounds.tail(),
                newest: bounds.head(),
                resumes_after: Position::new(bounds.epoch, resumes_after.max(self.cursor)),
            }
        });
        match &gap {
            Some(gap) => self.cursor = gap.resumes_after.offset,
            None if page.entries.is_empty() => self.cursor = self.cursor.max(page.complete_through),
            None => {}
        }
        self.page = page.entries.into_iter();
        gap
    }
}

fn report(error: &HistoryError) {
    tracing::warn!(%error, cause = ?std::error::Error::source(error), "history not read, trying again");
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hub.departed(&self.feeds, self.place_among_all);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("topics", &self.topics)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
