//! Which offset belongs to which epoch, when a history that is open gets a new one.

use crate::{Epoch, Position};

/// How many epochs are remembered. Only who reads for longer than so many losses could tell.
const MAX: usize = 16;

/// The epochs of a history while this process followed it, oldest first, each with the offset that it begins after. Never empty.
#[derive(Debug)]
pub(super) struct Eras(Vec<(u64, Epoch)>);

impl Eras {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self(vec![(0, epoch)])
    }

    pub(super) fn present(&self) -> Epoch {
        self.0[self.0.len() - 1].1
    }

    /// A new epoch that begins after `offset`. The place after `offset` belongs to it already.
    pub(super) fn begin(&mut self, epoch: Epoch, offset: u64) {
        if self.0.len() == MAX {
            self.0.remove(0);
            self.0[0].0 = 0;
        }
        // One that nothing was read of leaves no trace.
        self.0.retain(|(begins, _)| *begins < offset || *begins == 0);
        self.0.push((offset, epoch));
    }

    pub(super) fn position(&self, offset: u64) -> Position {
        let era = self.0.iter().rev().find(|(begins, _)| *begins <= offset);
        Position::new(era.map_or_else(|| self.present(), |(_, epoch)| *epoch), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_keeps_the_epoch_it_was_read_in() {
        let [first, second, third] = [1, 2, 3].map(Epoch::new);
        let mut eras = Eras::new(first);
        eras.begin(second, 7);
        eras.begin(third, 9);
        let epochs = [0, 6, 7, 8, 9, 100].map(|offset| eras.position(offset).epoch);
        assert_eq!(epochs, [first, first, second, second, third, third]);
        assert_eq!(eras.present(), third);
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let mut eras = Eras::new(Epoch::new(1));
        for number in 2..100 {
            eras.begin(Epoch::new(number), number * 10);
        }
        assert_eq!(eras.0.len(), MAX);
        assert_eq!(eras.position(0).epoch, Epoch::new(84));
        assert_eq!(eras.position(990).epoch, Epoch::new(99));
    }

    #[test]
    fn one_that_begins_where_the_last_began_takes_its_place() {
        let mut eras = Eras::new(Epoch::new(1));
        eras.begin(Epoch::new(2), 0);
        eras.begin(Epoch::new(3), 5);
        eras.begin(Epoch::new(4), 5);
        assert_eq!([0, 5].map(|offset| eras.position(offset).epoch), [2, 4].map(Epoch::new));
    }
}
