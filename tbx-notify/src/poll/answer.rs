//! Gathering an answer.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::request::Patience;
use crate::access::Grant;
use crate::hub::{Gap, Next, Reader};
use crate::{Entry, Position, json};

/// Bodies of so many bytes together are enough for one answer.
const ENOUGH: usize = 1 << 20;
/// How long reading from the history may take.
const READING: Duration = Duration::from_secs(10);

/// What a client gets.
#[derive(Debug)]
pub(super) struct Answer {
    items: Vec<Arc<Entry>>,
    gap: Option<Gap>,
    next: Position,
}

/// What may end the gathering.
enum Step {
    Next(Next),
    /// There is no more now.
    UpToDate,
}

impl Answer {
    /// Gathers what there is, or waits for something.
    pub(super) async fn gather(mut reader: Reader, grant: &Grant, patience: &Patience) -> Self {
        let mut answer = Self { items: Vec::new(), gap: None, next: reader.position() };
        let mut size = 0;
        while answer.items.len() < patience.limit && size < ENOUGH {
            let has_something = !answer.items.is_empty() || answer.gap.is_some();
            let until_expiry =
                grant.expires().map(|expires| expires.saturating_duration_since(Instant::now()));
            let wait = if has_something {
                Duration::ZERO
            } else {
                patience.wait.min(until_expiry.unwrap_or(Duration::MAX))
            };
            match answer.step(&mut reader, wait).await {
                Some(Next::Entry(entry)) => {
                    if grant.allows(entry.notification().topic()) {
                        size += entry.size();
                        answer.items.push(entry);
                    }
                }
                Some(Next::Gap(gap)) => answer.gap = Some(gap),
                Some(Next::TooSlow | Next::Closing) | None => break,
            }
        }
        answer.next = if reader.is_catching_up() { reader.position() } else { reader.checkpoint() };
        answer
    }

    /// The next thing, or `None` when there is none in time.
    async fn step(&self, reader: &mut Reader, wait: Duration) -> Option<Next> {
        let up_to_date = std::future::poll_fn(|cx| match reader.poll_next(cx) {
            Poll::Ready(next) => Poll::Ready(Step::Next(next)),
            Poll::Pending if reader.is_catching_up() => Poll::Pending,
            Poll::Pending => Poll::Ready(Step::UpToDate),
        });
        match tokio::time::timeout(READING, up_to_date).await {
            Ok(Step::Next(next)) => Some(next),
            Ok(Step::UpToDate) if !wait.is_zero() => tokio::time::timeout(wait, reader.next()).await.ok(),
            Ok(Step::UpToDate) | Err(_) => None,
        }
    }

    pub(super) fn to_json(&self) -> String {
        let items: Vec<String> =
            self.items.iter().map(|entry| format!("{{{}}}", json::members(entry))).collect();
        let gap = self.gap.as_ref().map(|gap| format!(r#","gap":{{{}}}"#, json::gap_members(gap)));
        format!(r#"{{"items":[{}],"next":"{}"{}}}"#, items.join(","), self.next, gap.unwrap_or_default())
    }
}
