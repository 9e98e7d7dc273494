//! One reader: a position, and what comes next from there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tbx_bus::Topic;
use tokio::task::JoinHandle;

use super::feed::{NextInFeed, WakeCell};
use super::seat::Seat;
use super::slow::SlowPolicy;
use super::start::{Question, Resolved, Start};
use super::tail::Shared;
use super::transport::Transport;
use crate::history::Matching;
use crate::{Entry, Position, TopicSet};

/// How many entries are read from the history at a time: bounds what a reader that catches up holds.
const PAGE: usize = 64;
/// How long a reader waits before it asks a failed history again.
const HISTORY_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Reads what its topics want, from a position on, in order, each entry once. Dropping it leaves the hub.
#[must_use]
pub struct Reader {
    hub: Arc<Shared>,
    /// How it is counted; a reader beside another is not.
    counted_as: Option<Transport>,
    topics: TopicSet,
    seats: Vec<Seat>,
    place_among_all: usize,
    wake: Arc<WakeCell>,
    /// Everything up to here was handed out or is of no interest.
    cursor: u64,
    /// Whether the reader has been up to date since it came, so that a gap means it was too slow.
    has_caught_up: bool,
    /// What happens when it is too slow, where the hub has no rule for the topic.
    slow: SlowPolicy,
    first_gap: Option<Box<Gap>>,
    /// Whether the position that it begins after exists, while that is being found out.
    question: Option<Box<Question>>,
    /// Up to here only entries of topics that want the latest are handed out: the others were dropped, and a gap has told so.
    skim_through: u64,
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
    some_trimmed: bool,
    /// Whether the reader had fallen too far behind when it was begun.
    too_far_behind: bool,
}

/// What a reader gets.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next {
    /// The next entry.
    Entry(Arc<Entry>),
    /// Something may have been missed.
    Gap(Gap),
    /// The reader has fallen too far behind and its policy is [`SlowPolicy::Close`]: leave, and resume.
    TooSlow,
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
    /// The position is none of this history, or the history has lost entries and begun anew since.
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
        counted_as: Option<Transport>,
        topics: TopicSet,
        start: Start,
    ) -> Self {
        let wake = Arc::new(WakeCell::default());
        let seats = hub.take_seats(&topics, &wake);
        let place_among_all = hub.everyone().join(Arc::clone(&wake));
        if hub.is_closing() {
            // Closing began while we joined, and may not have seen us.
            wake.dismiss();
        }
        // After the feeds: what is published from here on cannot be missed.
        let head = hub.head();
        let (cursor, first_gap, question) = match start.resolve(&hub.history) {
            Resolved::Known(cursor, gap) => (cursor, gap, None),
            Resolved::Asked(question) => (question.position().offset, None, Some(Box::new(question))),
        };
        Self {
            hub,
            counted_as,
            topics,
            seats,
            place_among_all,
            wake,
            cursor,
            has_caught_up: cursor >= head,
            slow: SlowPolicy::DropOldest,
            first_gap,
            question,
            skim_through: 0,
            page: Vec::new().into_iter(),
            reading: None,
        }
    }

    /// What happens when it is too slow, unless the hub has a rule for the topic; [`SlowPolicy::DropOldest`] unless set.
    pub fn with_slow_policy(mut self, policy: SlowPolicy) -> Self {
        self.slow = policy;
        self
    }

    /// A second reader of the same client, which counts as none: for catching up with other topics. It starts anew with `start`.
    pub fn beside(&self, topics: TopicSet, start: Start) -> Self {
        Self::new(Arc::clone(&self.hub), None, topics, start).with_slow_policy(self.slow)
    }

    /// Reads other topics from here on. The position stays, so what came to the new topics after it is still to come.
    pub fn change_topics(&mut self, topics: TopicSet) {
        self.reading = None;
        self.page = Vec::new().into_iter();
        // New seats before the old ones are left, so that a feed of both is not taken down and set up again.
        let seats = self.hub.take_seats(&topics, &self.wake);
        self.hub.leave_seats(&std::mem::replace(&mut self.seats, seats));
        self.topics = topics;
    }

    /// What it reads.
    #[must_use]
    pub fn topics(&self) -> &TopicSet {
        &self.topics
    }

    /// The place after what was handed out: resuming there misses nothing and repeats nothing.
    #[must_use]
    pub fn position(&self) -> Position {
        match &self.question {
            Some(question) => question.position(),
            None => self.hub.history.position_at(self.cursor),
        }
    }

    /// Waits until it is known where it begins: a position that another process has shown first is looked for. Until then [`position`](Self::position)
    /// is the one that was asked for. [`next`](Self::next) waits for it by itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn settle(&mut self) {
        std::future::poll_fn(|cx| self.poll_settled(cx)).await;
    }

    /// Whether it is known where it begins, as a poll. Who is to leave does not wait for that.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wake.register(cx.waker());
        if self.wake.is_dismissed() {
            return Poll::Ready(());
        }
        let Some(question) = &mut self.question else { return Poll::Ready(()) };
        let head = self.hub.head();
        let (cursor, gap) = std::task::ready!(question.poll(self.hub.history.as_ref(), cx));
        self.question = None;
        self.cursor = cursor;
        self.first_gap = gap;
        // Ahead of this process it is up to date, too.
        self.has_caught_up = cursor >= head;
        Poll::Ready(())
    }

    /// Moves the position over entries that are of no interest, up to the newest, so that a reader of quiet topics stays near
    /// the head. Call it only after [`poll_next`](Self::poll_next) was pending. Returns the position.
    pub fn checkpoint(&mut self) -> Position {
        if !self.is_catching_up() {
            // The head first: an entry of interest that is published meanwhile lies behind it.
            let head = self.hub.head();
            if matches!(self.next_in_feeds(head), NextInFeed::Nothing(_)) {
                self.cursor = self.cursor.max(head);
            }
        }
        self.position()
    }

    /// Whether it is reading from the history, so that [`poll_next`](Self::poll_next) may be pending although there is more.
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        self.question.is_some() || self.reading.is_some() || self.page.len() > 0
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
        if self.question.is_some() && !self.wake.is_dismissed() {
            std::task::ready!(self.poll_settled(cx));
        }
        // Before the end: the position has moved on already, and a client that is sent away must know.
        if let Some(gap) = self.first_gap.take() {
            return Poll::Ready(Next::Gap(*gap));
        }
        if self.wake.is_dismissed() {
            return Poll::Ready(Next::Closing);
        }
        loop {
            if let Some(entry) = self.page.next() {
                self.cursor = entry.offset();
                if self.has_caught_up {
                    self.seats.iter_mut().for_each(|seat| seat.note(&entry));
                }
                if self.is_passed_over(&entry) {
                    continue;
                }
                return Poll::Ready(Next::Entry(entry));
            }
            if self.reading.is_none() {
                match self.next_in_feeds(self.hub.head()) {
                    NextInFeed::Entry(entry, _) => {
                        self.cursor = entry.offset();
                        if self.is_passed_over(&entry) {
                            continue;
                        }
                        return Poll::Ready(Next::Entry(entry));
                    }
                    NextInFeed::Nothing(_) => {
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
            if let Some(next) = self.turn_to(page) {
                return Poll::Ready(next);
            }
        }
    }

    /// Whether an entry is not handed out: a newer one of its topic makes it superfluous, or it was dropped.
    fn is_passed_over(&self, entry: &Entry) -> bool {
        let (topic, offset) = (entry.notification().topic(), entry.offset());
        match self.policy(topic) {
            SlowPolicy::LatestOnly => {
                // Only for one that readers can have already: while the hub lags, all may have a newer one that nobody gets.
                let newest = self.hub.history.newest_of(topic);
                newest.is_some_and(|newest| newest > offset && newest <= self.hub.head())
            }
            _ => offset <= self.skim_through,
        }
    }

    /// The gap that it begins with, when it does.
    #[cfg(any(feature = "sse", feature = "websocket"))]
    pub(crate) fn take_first_gap(&mut self) -> Option<Gap> {
        self.first_gap.take().map(|gap| *gap)
    }

    /// The newest offset that is known of: the hub may not have heard of it yet, and a client may bring one that this process has not seen.
    #[cfg(feature = "websocket")]
    pub(crate) fn newest(&self) -> u64 {
        self.hub.history.bounds().newest.max(self.position().offset)
    }

    /// The position of another offset of the history.
    #[cfg(feature = "websocket")]
    pub(crate) fn position_at(&self, offset: u64) -> Position {
        self.hub.history.position_at(offset)
    }

    /// Forgives what it has fallen behind while nobody polled it: it is judged again when it is up to date.
    #[cfg(feature = "websocket")]
    pub(crate) fn forgive_lag(&mut self) {
        self.has_caught_up = false;
    }

    fn policy(&self, topic: &Topic) -> SlowPolicy {
        self.hub.slow.of(topic).unwrap_or(self.slow)
    }

    /// What follows the cursor in all feeds, up to `head`: the smallest offset of all patterns.
    fn next_in_feeds(&mut self, head: u64) -> NextInFeed {
        let mut first: Option<(Arc<Entry>, u64)> = None;
        for seat in &mut self.seats {
            match seat.next_after(self.cursor, head) {
                NextInFeed::Forgotten => return NextInFeed::Forgotten,
                NextInFeed::Nothing(_) => {}
                NextInFeed::Entry(entry, before) => {
                    if first.as_ref().is_none_or(|(first, _)| entry.offset() < first.offset()) {
                        first = Some((entry, before));
                    }
                }
            }
        }
        first.map_or(NextInFeed::Nothing(0), |(entry, before)| NextInFeed::Entry(entry, before))
    }

    /// Reads on from the cursor to where the feeds begin.
    fn read_page(&self) -> ReadingPage {
        let (hub, history) = (Arc::clone(&self.hub), Arc::clone(&self.hub.history));
        let (topics, after) = (self.topics.clone(), self.cursor);
        let through = self.complete_in_memory_after();
        // Feeds of overlapping patterns hold the same entries: the longest of them counts, not all together.
        let behind = self.seats.iter().map(Seat::behind).max().unwrap_or_default();
        let too_far_behind = self.has_caught_up && behind > self.hub.max_behind;
        ReadingPage(tokio::spawn(async move {
            loop {
                match history.read_matching(&topics, after, through, PAGE).await {
                    Ok(Matching { entries, some_trimmed }) => {
                        let complete_through = match entries.last() {
                            Some(last) if entries.len() == PAGE => last.offset(),
                            _ => through.max(after),
                        };
                        return Page { entries, complete_through, some_trimmed, too_far_behind };
                    }
                    Err(error) => {
                        hub.complain(&error);
                        tokio::time::sleep(HISTORY_PAUSE).await;
                    }
                }
            }
        }))
    }

    /// From where on the feeds have everything.
    fn complete_in_memory_after(&self) -> u64 {
        self.seats.iter().map(Seat::complete_after).max().unwrap_or_default()
    }

    /// Goes on with a page that was read. A gap comes before its entries.
    fn turn_to(&mut self, page: Page) -> Option<Next> {
        // What was lost with an epoch is nobody's slowness, and coming back would not bring it.
        let is_lost = page.some_trimmed && !self.is_of_present_epoch();
        if (page.too_far_behind || (page.some_trimmed && self.has_caught_up))
            && !is_lost
            && self.wants(SlowPolicy::Close, &page)
        {
            return Some(Next::TooSlow);
        }
        if page.too_far_behind && !is_lost && self.wants(SlowPolicy::DropOldest, &page) {
            let in_memory = self.complete_in_memory_after();
            if !self.hub.slow.have_latest_only() {
                return Some(Next::Gap(self.jump(GapReason::Slow, in_memory)));
            }
            // The newest of other topics may lie in what is dropped, so it is read through. The position stays: who resumes here gets it all.
            self.skim_through = in_memory;
            self.page = page.entries.into_iter();
            return Some(Next::Gap(self.jump(GapReason::Slow, self.cursor)));
        }
        if page.some_trimmed {
            let reason = match (is_lost, self.has_caught_up) {
                (true, _) => GapReason::Unknown,
                (false, true) => GapReason::Slow,
                (false, false) => GapReason::Trimmed,
            };
            let resumes_after = match page.entries.first() {
                Some(first) => first.offset() - 1,
                None => page.complete_through,
            };
            let gap = self.jump(reason, resumes_after);
            self.page = page.entries.into_iter();
            return Some(Next::Gap(gap));
        }
        if page.entries.is_empty() {
            self.cursor = self.cursor.max(page.complete_through);
        }
        self.page = page.entries.into_iter();
        None
    }

    /// Whether the history has had its epoch since the entries that are read now.
    fn is_of_present_epoch(&self) -> bool {
        let history = &self.hub.history;
        history.position_at(self.cursor).epoch == history.bounds().epoch
    }

    /// Whether one of the topics of a page has this policy; without entries the reader's own counts.
    fn wants(&self, policy: SlowPolicy, page: &Page) -> bool {
        let mut topics = page.entries.iter().map(|entry| entry.notification().topic());
        page.entries.is_empty() && self.slow == policy || topics.any(|topic| self.policy(topic) == policy)
    }

    /// Moves on to the offset `after` and tells of it.
    fn jump(&mut self, reason: GapReason, after: u64) -> Gap {
        let bounds = self.hub.history.bounds();
        let requested = Some(self.position().to_string());
        self.cursor = self.cursor.max(after);
        for seat in &mut self.seats {
            seat.forget_lag();
        }
        Gap {
            reason,
            requested,
            oldest: bounds.tail(),
            newest: bounds.head(),
            resumes_after: self.position(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hub.departed(&self.seats, self.place_among_all, self.counted_as);
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
