//! Which of the confirmed messages were really taken.
//!
//! The broker returns a message that nobody takes, and confirms it all the same, the return first. Lapin hands each return to whichever
//! confirmation completes next, so a confirmation may carry the return of another message, and a message's own may ride on one that completed
//! earlier. What can be known:
//!
//! 1. Of one message the return comes before the confirmation, and lapin keeps returns in a queue from which each completing confirmation takes
//!    the first. So there are never more returns in the queue than there are returned messages whose confirmation is to come: a return adds
//!    one to both; a confirmation takes one from the queue if there is one, and from the others at most one.
//! 2. A confirmation *without* a return found the queue empty. Its own message, had it been returned, would have been returned earlier, and
//!    that return taken by a confirmation that completed earlier. [`Window`](super::window::Window) shows those no later than this one. So the
//!    message was taken if no confirmation seen so far carries its return.
//! 3. A confirmation with the return *of its own message* says it all.
//! 4. A confirmation with the return of *another* proves that other unroutable, and leaves open whether its own return is still in the queue.
//!    That is known as soon as the queue is known to have been empty later: when a later batch has a confirmation without a return (by 2), or
//!    when no message is unconfirmed any more (by 1). Until then the message waits.
//!
//! Returns are matched by message id.

use std::collections::HashMap;

use crate::MessageId;

/// What a confirmation brought.
#[derive(Debug)]
pub(super) struct Confirmed<T> {
    pub(super) entry: T,
    pub(super) id: MessageId,
    /// The id of the returned message that rode on it.
    pub(super) returned: Option<String>,
}

/// What became of a confirmed message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Returned,
}

/// Judges batch after batch.
#[derive(Debug)]
pub(super) struct Judge<T> {
    /// Returned messages whose confirmation is to come; an id may be under way more than once.
    returned: HashMap<String, usize>,
    /// Confirmed messages that may yet turn out to be returned.
    open: Vec<(T, MessageId)>,
}

impl<T> Judge<T> {
    pub(super) fn new() -> Self {
        Self { returned: HashMap::new(), open: Vec::new() }
    }

    /// Takes what [`Window`](super::window::Window) gave in one go, with the ids that rode on refusals, and says of which messages what became.
    /// `unconfirmed` is how many are left in the window.
    pub(super) fn judge(
        &mut self,
        batch: Vec<Confirmed<T>>,
        on_refusals: Vec<Option<String>>,
        unconfirmed: usize,
    ) -> Vec<(T, Verdict)> {
        let mut saw_empty = unconfirmed == 0;
        for returned in batch.iter().map(|confirmed| &confirmed.returned).chain(&on_refusals) {
            match returned {
                Some(id) => *self.returned.entry(id.clone()).or_default() += 1,
                None => saw_empty = true,
            }
        }
        let mut verdicts = Vec::with_capacity(batch.len());
        for (entry, id) in std::mem::take(&mut self.open) {
            if self.was_returned(&id) {
                verdicts.push((entry, Verdict::Returned));
            } else if saw_empty {
                verdicts.push((entry, Verdict::Taken));
            } else {
                self.open.push((entry, id));
            }
        }
        for Confirmed { entry, id, returned } in batch {
            if self.was_returned(&id) {
                verdicts.push((entry, Verdict::Returned));
            } else if returned.is_none() || unconfirmed == 0 {
                verdicts.push((entry, Verdict::Taken));
            } else {
                self.open.push((entry, id));
            }
        }
        if unconfirmed == 0 {
            self.returned.clear();
        }
        verdicts
    }

    fn was_returned(&mut self, id: &MessageId) -> bool {
        let Some(copies) = self.returned.get_mut(id.as_str()) else { return false };
        *copies -= 1;
        if *copies == 0 {
            self.returned.remove(id.as_str());
        }
        true
    }

    /// Takes out what is still open.
    pub(super) fn take_open(&mut self) -> Vec<T> {
        self.returned.clear();
        std::mem::take(&mut self.open).into_iter().map(|(entry, _)| entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn confirmed(id: &str, returned: Option<&str>) -> Confirmed<String> {
        Confirmed {
            entry: id.to_owned(),
            id: MessageId::new(id).unwrap(),
            returned: returned.map(str::to_owned),
        }
    }

    #[test]
    fn a_confirmation_that_carries_the_return_of_another_waits_for_its_own() {
        let mut judge = Judge::new();
        assert_eq!(judge.judge(vec![confirmed("b", Some("a"))], vec![], 2), []);
        assert_eq!(
            judge.judge(vec![confirmed("a", Some("b"))], vec![], 1),
            [("b".to_owned(), Verdict::Returned), ("a".to_owned(), Verdict::Returned)]
        );
    }

    #[test]
    fn a_later_confirmation_without_a_return_ends_the_wait() {
        let mut judge = Judge::new();
        assert_eq!(judge.judge(vec![confirmed("b", Some("a"))], vec![], 2), []);
        assert_eq!(
            judge.judge(vec![confirmed("c", None)], vec![], 1),
            [("b".to_owned(), Verdict::Taken), ("c".to_owned(), Verdict::Taken)]
        );
        assert_eq!(judge.judge(vec![confirmed("a", None)], vec![], 0), [("a".to_owned(), Verdict::Returned)]);
    }

    #[test]
    fn each_copy_of_a_returned_message_is_judged_returned() {
        let mut judge = Judge::new();
        let copies = vec![confirmed("a", Some("a")), confirmed("a", Some("a"))];
        let returned = || ("a".to_owned(), Verdict::Returned);
        assert_eq!(judge.judge(copies, vec![], 0), [returned(), returned()]);
    }

    proptest! {
        /// Lapin and broker as described above, with confirmations in any order and in any batches.
        #[test]
        fn exactly_the_returned_messages_are_judged_returned(
            routable in prop::collection::vec(any::<bool>(), 1..20),
            seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut queue, mut judge) = (VecDeque::new(), Judge::new());
            let mut to_return: Vec<usize> = (0..routable.len()).filter(|n| !routable[*n]).collect();
            let mut to_confirm: Vec<usize> = (0..routable.len()).collect();
            let (mut batch, mut verdicts) = (Vec::new(), Vec::new());
            while !to_confirm.is_empty() || !batch.is_empty() {
                match random.u8(0..3) {
                    0 if !to_return.is_empty() => {
                        let n = to_return.swap_remove(random.usize(..to_return.len()));
                        queue.push_back(n.to_string());
                    }
                    1 if !to_confirm.is_empty() => {
                        let index = random.usize(..to_confirm.len());
                        if to_return.contains(&to_confirm[index]) {
                            continue;
                        }
                        let n = to_confirm.swap_remove(index);
                        batch.push(Confirmed { entry: n, id: MessageId::new(&n.to_string()).unwrap(), returned: queue.pop_front() });
                    }
                    _ => {
                        // A batch comes in any order.
                        random.shuffle(&mut batch);
                        verdicts.extend(judge.judge(std::mem::take(&mut batch), vec![], to_confirm.len()));
                    }
                }
            }
            verdicts.sort_by_key(|(n, _)| *n);
            let expected: Vec<_> = routable
                .iter()
                .enumerate()
                .map(|(n, taken)| (n, if *taken { Verdict::Taken } else { Verdict::Returned }))
                .collect();
            prop_assert_eq!(verdicts, expected);
            prop_assert!(judge.take_open().is_empty());
        }
    }
}
