//! Where a reader begins.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::Position;
use crate::history::{History, HistoryError};

use super::reader::{Gap, GapReason};

/// How long a history that cannot be reached is asked again. Nothing could be delivered meanwhile, whatever the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two times that it is asked.
const PAUSE: Duration = Duration::from_millis(250);

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what comes from now on.
    Head,
    /// With the oldest entry kept.
    Oldest,
    /// After the position that a client brings back, as the client wrote it.
    After {
        /// Its text.
        position: String,
        /// Where to go on when the text says nothing about this history.
        otherwise: Fallback,
    },
}

/// Where to go on after a gap of unknown size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// With what comes from now on.
    #[default]
    Head,
    /// With the oldest entry kept.
    Oldest,
}

/// What became of a [`Start`].
pub(super) enum Resolved {
    /// The place to begin after, and what to tell of a position that cannot be found.
    Known(u64, Option<Box<Gap>>),
    /// The position is not known here, and the history is asked.
    Asked(Question),
}

/// Whether a position that this process does not know is one of the history all the same: another process may have shown it first.
pub(super) struct Question {
    position: Position,
    text: String,
    otherwise: Fallback,
    /// Never locked: it makes a future of somebody else's shareable, as the bodies of answers must be.
    answer: Mutex<Answer>,
}

type Answer = Pin<Box<dyn Future<Output = Result<bool, HistoryError>> + Send>>;

impl Start {
    /// The head is that of the history and not of the hub, which takes a moment: what was published before a reader came is no news to it.
    pub(super) fn resolve(self, history: &Arc<dyn History>) -> Resolved {
        let (text, otherwise) = match self {
            Self::Head => return Resolved::Known(history.bounds().newest, None),
            Self::Oldest => return Resolved::Known(history.bounds().tail().offset, None),
            Self::After { position, otherwise } => (position, otherwise),
        };
        let Ok(position) = text.parse::<Position>() else {
            return unknown(history.as_ref(), &text, otherwise);
        };
        let bounds = history.bounds();
        if position.epoch == bounds.epoch && position.offset <= bounds.newest {
            return Resolved::Known(position.offset, None);
        }
        let answer: Answer = Box::pin(ask(Arc::clone(history), position));
        let mut question = Question { position, text, otherwise, answer: Mutex::new(answer) };
        // A history that nobody shares answers at once, and its reader begins at once.
        match question.poll(history.as_ref(), &mut Context::from_waker(Waker::noop())) {
            Poll::Ready((offset, gap)) => Resolved::Known(offset, gap),
            Poll::Pending => Resolved::Asked(question),
        }
    }
}

/// Asks until there is an answer: one outage must not cost whoever comes back in it their place.
async fn ask(history: Arc<dyn History>, position: Position) -> Result<bool, HistoryError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match history.reaches(position).await {
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tracing::debug!(%error, "a position could not be looked for, asking again");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

impl Question {
    /// The position in question.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The place to begin after, and what to tell when it is another than the one in question.
    pub(super) fn poll(
        &mut self,
        history: &dyn History,
        cx: &mut Context<'_>,
    ) -> Poll<(u64, Option<Box<Gap>>)> {
        let answer = self.answer.get_mut().unwrap_or_else(PoisonError::into_inner);
        let reaches = ready!(answer.as_mut().poll(cx)).unwrap_or_else(|error| {
            // Told as unknown: it cannot be found out, and who waits for something that may not exist would wait for ever.
            tracing::debug!(%error, "a position could not be looked for");
            false
        });
        if reaches {
            return Poll::Ready((self.position.offset, None));
        }
        Poll::Ready(somewhere_else(history, &self.text, self.otherwise))
    }
}

fn unknown(history: &dyn History, text: &str, otherwise: Fallback) -> Resolved {
    let (offset, gap) = somewhere_else(history, text, otherwise);
    Resolved::Known(offset, gap)
}

fn somewhere_else(history: &dyn History, text: &str, otherwise: Fallback) -> (u64, Option<Box<Gap>>) {
    let bounds = history.bounds();
    let resumes_after = match otherwise {
        Fallback::Head => bounds.head(),
        Fallback::Oldest => bounds.tail(),
    };
    let gap = Gap {
        reason: GapReason::Unknown,
        requested: Some(text.chars().take(Position::MAX_BYTES).collect()),
        oldest: bounds.tail(),
        newest: bounds.head(),
        resumes_after,
    };
    (resumes_after.offset, Some(Box::new(gap)))
}
