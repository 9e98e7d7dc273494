//! Who has which partition of a group. Plain state, as the queue that it belongs to.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The partitions of a group, each with at most one consumer that has it.
#[derive(Debug)]
pub(super) struct Partitions(Vec<Partition>);

#[derive(Debug, Default, Clone)]
struct Partition {
    holder: Option<u64>,
    /// How many messages of it are lent out.
    lent: u32,
    /// Its holder takes no more of it, and loses it when everything lent is settled.
    handing_over: bool,
}

impl Partitions {
    pub(super) fn new(count: u32) -> Self {
        Self(vec![Partition::default(); count as usize])
    }

    /// The partition of a key. Messages without one share a partition.
    pub(super) fn of(&self, key: Option<&str>) -> usize {
        if self.0.len() == 1 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        // Less than the number of partitions, so it fits.
        (hasher.finish() % self.0.len() as u64) as usize
    }

    pub(super) fn has_any(&self, consumer: u64) -> bool {
        self.0.iter().any(|partition| partition.holder == Some(consumer))
    }

    pub(super) fn may_take(&self, partition: usize, consumer: u64) -> bool {
        let partition = &self.0[partition];
        partition.holder == Some(consumer) && !partition.handing_over
    }

    pub(super) fn lend(&mut self, partition: usize) {
        self.0[partition].lent += 1;
    }

    /// Whether that was the last thing that a handover waited for: share out again.
    #[must_use]
    pub(super) fn give_back(&mut self, partition: usize) -> bool {
        let partition = &mut self.0[partition];
        partition.lent = partition.lent.saturating_sub(1);
        partition.handing_over && partition.lent == 0
    }

    /// Nobody has anything any more.
    pub(super) fn clear(&mut self) {
        self.0.fill(Partition::default());
    }

    /// Shares the partitions out among the consumers that stay, who are given in the order in which they came. Those that have more than their share
    /// begin to hand over, and so does who left; what nobody has goes to who has least.
    pub(super) fn share_out(&mut self, staying: &[u64]) {
        let mut shares: Vec<(u64, usize)> = staying
            .iter()
            .map(|id| {
                let has = |partition: &&Partition| partition.holder == Some(*id) && !partition.handing_over;
                (*id, self.0.iter().filter(has).count())
            })
            .collect();
        let most = self.0.len().div_ceil(staying.len().max(1));
        for partition in self.0.iter_mut().rev() {
            let Some(holder) = partition.holder else { continue };
            match shares.iter_mut().find(|(id, _)| *id == holder) {
                Some((_, share)) if *share > most && !partition.handing_over => {
                    *share -= 1;
                    partition.handing_over = true;
                }
                Some(_) => {}
                None => partition.handing_over = true,
            }
            if partition.handing_over && partition.lent == 0 {
                partition.holder = None;
                partition.handing_over = false;
            }
        }
        for partition in self.0.iter_mut().filter(|partition| partition.holder.is_none()) {
            // The first of those that have least, who came first.
            let Some((id, share)) = shares.iter_mut().min_by_key(|(_, share)| *share) else { return };
            partition.holder = Some(*id);
            *share += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(partitions: &Partitions, consumers: &[u64]) -> Vec<usize> {
        let of = |id: &u64| (0..partitions.0.len()).filter(|n| partitions.may_take(*n, *id)).count();
        consumers.iter().map(of).collect()
    }

    #[test]
    fn nobody_has_more_than_the_share_and_nothing_is_left_over() {
        let mut partitions = Partitions::new(8);
        for (staying, expected) in [
            (&[1][..], vec![8]),
            (&[1, 2], vec![4, 4]),
            (&[1, 2, 3], vec![3, 3, 2]),
            (&[3], vec![8]),
            (&[], vec![]),
            (&[4, 5], vec![4, 4]),
        ] {
            partitions.share_out(staying);
            assert_eq!(shares(&partitions, staying), expected, "{staying:?}");
        }
    }

    #[test]
    fn a_partition_changes_hands_when_what_is_lent_of_it_is_settled() {
        let mut partitions = Partitions::new(2);
        partitions.share_out(&[1]);
        partitions.lend(1);
        partitions.lend(1);
        partitions.share_out(&[1, 2]);
        assert_eq!(shares(&partitions, &[1, 2]), [1, 0]);
        assert!(!partitions.give_back(1));
        assert!(partitions.give_back(1));
        partitions.share_out(&[1, 2]);
        assert_eq!(shares(&partitions, &[1, 2]), [1, 1]);
    }

    #[test]
    fn a_key_stays_in_its_partition() {
        let partitions = Partitions::new(7);
        let of: Vec<usize> = (0..100).map(|n| partitions.of(Some(&n.to_string()))).collect();
        assert!((0..7).all(|partition| of.contains(&partition)), "{of:?}");
        assert_eq!(of, (0..100).map(|n| partitions.of(Some(&n.to_string()))).collect::<Vec<_>>());
        assert_eq!(partitions.of(None), partitions.of(None));
    }
}
