//! What a process could not write.

use std::collections::HashMap;

use super::Cached;

/// How many entries are remembered one by one.
const MAX_ENTRIES: usize = 256;
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
    /// These entries are to be put.
    Entries(HashMap<String, Cached>),
    /// All that is there may be too old.
    Everything,
}

impl Owed {
    pub(super) fn everything() -> Self {
        Self { debt: Debt::Everything, additions: 0 }
    }

    /// Adds an entry. When there are too many, everything is owed.
    pub(super) fn add(&mut self, key: &str, entry: Cached) {
        self.additions += 1;
        let Debt::Entries(entries) = &mut self.debt else { return };
        match entries.get_mut(key) {
            Some(known) if known.version >= entry.version => {}
            Some(known) => *known = entry,
            None => drop(entries.insert(key.to_owned(), entry)),
        }
        let bytes: usize = entries.iter().map(|(key, entry)| size(key, entry)).sum();
        if entries.len() > MAX_ENTRIES || bytes > MAX_BYTES {
            self.debt = Debt::Everything;
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.debt, Debt::Entries(entries) if entries.is_empty())
    }

    /// What is to be paid, and what to call it afterwards; `None` when there is nothing.
    pub(super) fn due(&self) -> Option<(Debt, u64)> {
        (!self.is_nothing()).then(|| (self.debt.clone(), self.additions))
    }

    /// Strikes out what was paid, unless more has come since it was [`due`](Self::due): then all of it stays, for it may have come too late to be
    /// covered.
    pub(super) fn paid(&mut self, additions: u64) {
        if self.additions == additions {
            self.debt = Debt::Entries(HashMap::new());
        }
    }
}

fn size(key: &str, entry: &Cached) -> usize {
    key.len() + entry.value.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheVersion;

    fn entry(version: u64, bytes: usize) -> Cached {
        Cached { version: CacheVersion(version, 0), value: Some(vec![0; bytes].into()) }
    }

    fn nothing() -> Owed {
        let mut owed = Owed::everything();
        owed.paid(0);
        assert_eq!(owed.due(), None);
        owed
    }

    #[test]
    fn the_newest_entry_of_a_key_is_owed() {
        let mut owed = nothing();
        for version in [2, 3, 1] {
            owed.add("k", entry(version, 1));
        }
        let (debt, _) = owed.due().unwrap();
        assert_eq!(debt, Debt::Entries(HashMap::from([("k".to_owned(), entry(3, 1))])));
    }

    #[test]
    fn whoever_owes_too_much_owes_everything() {
        let (mut many, mut large) = (nothing(), nothing());
        for number in 0..=MAX_ENTRIES {
            assert_ne!(many.debt, Debt::Everything);
            many.add(&number.to_string(), entry(1, 1));
        }
        assert_eq!(many.debt, Debt::Everything);
        large.add("k", entry(1, MAX_BYTES));
        assert_eq!(large.debt, Debt::Everything);
    }

    #[test]
    fn what_is_added_while_somebody_pays_stays() {
        let mut owed = nothing();
        owed.add("a", entry(1, 1));
        let (_, additions) = owed.due().unwrap();
        owed.add("b", entry(1, 1));
        owed.paid(additions);
        let (_, additions) = owed.due().unwrap();
        owed.paid(additions);
        assert!(owed.is_nothing());
    }
}
