//! Deliveries that may be what ends the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::Id;
use tokio::time::Instant;

use crate::Delivery;

/// From this attempt on a delivery is under suspicion. One return may be a lost connection, which returns everything that was under way.
const SUSPICIOUS: u32 = 3;

/// How long the first one waits, so that what came with it goes ahead.
const HEAD_START: Duration = Duration::from_millis(250);

/// What came back unsettled again and again, in a group whose failures are retried on their lanes and whose partitions do not change hands: there only the
/// end of a process or of a connection returns a message.
///
/// A process that ends takes everything with it that was under way, and a broker charges all of it. Suspects are tried one by one, after what is above
/// suspicion, the less charged first. Among equals chance decides: in any fixed order those behind the culprit would be charged as often as it is, and given
/// up with it; so each of them is through after a few ends.
#[derive(Debug)]
pub(super) struct Suspects {
    waiting: Vec<Suspect>,
    /// When the next one may be tried.
    due: Instant,
    trying: Option<Id>,
}

/// A delivery and its key.
pub(super) type Suspect = (Delivery, Option<Arc<str>>);

impl Suspects {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::new(), due: Instant::now(), trying: None }
    }

    pub(super) fn is_one(delivery: &Delivery) -> bool {
        delivery.attempt() >= SUSPICIOUS
    }

    pub(super) fn put(&mut self, delivery: Delivery, key: Option<Arc<str>>) {
        if self.waiting.is_empty() && self.trying.is_none() {
            self.due = Instant::now() + HEAD_START;
        }
        self.waiting.push((delivery, key));
    }

    /// When to take one; `None` while one is tried, or none is there.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.trying.is_none() && !self.waiting.is_empty()).then_some(self.due)
    }

    /// The next to be tried.
    pub(super) fn take(&mut self) -> Option<Suspect> {
        let least = self.waiting.iter().map(|(delivery, _)| delivery.attempt()).min()?;
        let equals = self.waiting.iter().enumerate().filter(|(_, (delivery, _))| delivery.attempt() == least);
        let places: Vec<usize> = equals.map(|(place, _)| place).collect();
        let place = *places.get(fastrand::usize(..places.len()))?;
        Some(self.waiting.remove(place))
    }

    /// The task `id` tries the one that was taken.
    pub(super) fn trying(&mut self, id: Id) {
        self.trying = Some(id);
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, id: Id) {
        if self.trying == Some(id) {
            self.trying = None;
            self.due = Instant::now();
        }
    }

    /// Takes out all that wait.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Delivery> {
        std::mem::take(&mut self.waiting).into_iter().map(|(delivery, _)| delivery)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_trait::async_trait;

    use super::*;
    use crate::delivery::Settle;
    use crate::{BusError, Message, Outcome, Topic};

    #[derive(Debug)]
    struct Nothing;

    #[async_trait]
    impl Settle for Nothing {
        async fn settle(self: Box<Self>, _: Outcome) -> Result<(), BusError> {
            Ok(())
        }
    }

    fn delivery(name: &str, attempt: u32) -> Delivery {
        let message = Message::new(Topic::new("a.b").unwrap(), name, "");
        Delivery::new(Arc::new(message), "group".into(), attempt, attempt > 1, Box::new(Nothing))
    }

    fn next(suspects: &mut Suspects) -> String {
        suspects.take().unwrap().0.message().kind().to_owned()
    }

    #[test]
    fn one_return_is_no_reason_for_suspicion() {
        assert_eq!(
            [1, 2, 3, 20].map(|attempt| Suspects::is_one(&delivery("a", attempt))),
            [false, false, true, true]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_less_charged_go_first_and_among_equals_any() {
        let mut first = BTreeSet::new();
        for _ in 0..200 {
            let mut suspects = Suspects::new();
            for (name, attempt) in [("culprit", 5), ("a", 4), ("b", 4), ("c", 4)] {
                suspects.put(delivery(name, attempt), None);
            }
            first.insert(next(&mut suspects));
            next(&mut suspects);
            next(&mut suspects);
            assert_eq!(next(&mut suspects), "culprit");
        }
        assert_eq!(first.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_tried_at_a_time_after_a_head_start_of_the_others() {
        let mut suspects = Suspects::new();
        assert_eq!(suspects.due(), None);
        suspects.put(delivery("a", 3), None);
        suspects.put(delivery("b", 3), None);
        assert_eq!(suspects.due(), Some(Instant::now() + HEAD_START));
        tokio::time::sleep(HEAD_START).await;
        next(&mut suspects);
        let task = tokio::spawn(async {});
        suspects.trying(task.id());
        assert_eq!(suspects.due(), None);
        suspects.ended(task.id());
        assert_eq!(suspects.due(), Some(Instant::now()), "the next need not wait");
        assert_eq!(suspects.take_all().count(), 1);
    }
}
