//! What a process could not write.

use std::collections::HashMap;

use super::CacheVersion;

/// How many keys are remembered one by one.
const MAX_KEYS: usize = 1_024;
/// How many bytes they may have, so that all of them fit into one call.
const MAX_BYTES: usize = 128 << 10;

/// What has to be made up for before anything is read again. It begins with everything: nobody knows what an earlier process has left undone.
#[derive(Debug)]
pub(super) struct Owed {
    debt: Debt,
    /// Grows with each addition, so that who pays knows whether more has come meanwhile.
    additions: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Debt {
    /// Under these keys, what is older than that is not to be read.
    Keys(HashMap<String, CacheVersion>),
    /// All that is there may be too old.
    Everything,
}

impl Owed {
    pub(super) fn everything() -> Self {
        Self { debt: Debt::Everything, additions: 0 }
    }

    /// Adds a version that could not be put. When there are too many, everything is owed.
    pub(super) fn add(&mut self, key: &str, version: CacheVersion) {
        self.additions += 1;
        let Debt::Keys(keys) = &mut self.debt else { return };
        match keys.get_mut(key) {
            Some(known) => *known = version.max(*known),
            None => drop(keys.insert(key.to_owned(), version)),
        }
        if keys.len() > MAX_KEYS || keys.keys().map(String::len).sum::<usize>() > MAX_BYTES {
            self.debt = Debt::Everything;
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.debt, Debt::Keys(keys) if keys.is_empty())
    }

    /// What is to be paid, and what to call it afterwards; `None` when there is nothing.
    pub(super) fn due(&self) -> Option<(Debt, u64)> {
        (!self.is_nothing()).then(|| (self.debt.clone(), self.additions))
    }

    /// Strikes out what was paid, unless more has come since it was [`due`](Self::due): then all of it stays, for it may have come too late to be
    /// covered.
    pub(super) fn paid(&mut self, additions: u64) {
        if self.additions == additions {
            self.debt = Debt::Keys(HashMap::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheVersion;

    const FIRST: CacheVersion = CacheVersion(1, 0);

    fn nothing() -> Owed {
        let mut owed = Owed::everything();
        owed.paid(0);
        assert_eq!(owed.due(), None);
        owed
    }

    #[test]
    fn the_newest_version_of_a_key_is_owed() {
        let mut owed = nothing();
        for version in [2, 3, 1] {
            owed.add("k", CacheVersion(version, 0));
        }
        let (debt, _) = owed.due().unwrap();
        assert_eq!(debt, Debt::Keys(HashMap::from([("k".to_owned(), CacheVersion(3, 0))])));
    }

    #[test]
    fn whoever_owes_too_much_owes_everything() {
        let (mut many, mut long) = (nothing(), nothing());
        for number in 0..=MAX_KEYS {
            assert_ne!(many.debt, Debt::Everything);
            many.add(&number.to_string(), FIRST);
        }
        assert_eq!(many.debt, Debt::Everything);
        long.add(&"k".repeat(MAX_BYTES + 1), FIRST);
        assert_eq!(long.debt, Debt::Everything);
    }

    #[test]
    fn what_is_added_while_somebody_pays_stays() {
        let mut owed = nothing();
        owed.add("a", FIRST);
        let (_, additions) = owed.due().unwrap();
        owed.add("b", FIRST);
        owed.paid(additions);
        let (_, additions) = owed.due().unwrap();
        owed.paid(additions);
        assert!(owed.is_nothing());
    }
}
