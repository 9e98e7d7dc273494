//! The cache in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::store::{CacheLookup, StudentCache};
use crate::student::{Student, StudentId, StudentRef};

/// The reference implementation of [`StudentCache`]. It never forgets; clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct MemoryStudentCache {
    entries: Arc<Mutex<HashMap<StudentId, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    student: Student,
    deleted: bool,
}

impl MemoryStudentCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl StudentCache for MemoryStudentCache {
    async fn get(&self, student: StudentRef) -> CacheLookup {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match student {
            StudentRef::Id(id) => entries.get(&id),
            StudentRef::Number(number) => entries.values().find(|entry| entry.student.number == number),
        };
        match entry {
            None => CacheLookup::Miss,
            Some(entry) if entry.deleted => CacheLookup::Deleted,
            Some(entry) => CacheLookup::Found(entry.student.clone()),
        }
    }

    async fn put(&self, student: &Student) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries
            .get(&student.id)
            .is_some_and(|entry| entry.deleted || entry.student.revision() >= student.revision())
        {
            return true;
        }
        entries.insert(student.id, Entry { student: student.clone(), deleted: false });
        true
    }

    async fn remember_deleted(&self, last: &Student) {
        // An id is never given again, so no state can come after this one.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(last.id, Entry { student: last.clone(), deleted: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_ada;

    #[tokio::test]
    async fn only_something_newer_replaces_what_is_there() {
        let (_, first) = with_ada().await;
        let counted = Student { updates: 1, ..first.clone() };
        let second = Student { version: first.version.next(), ..first.clone() };
        let cache = MemoryStudentCache::new();
        assert_eq!(cache.get(first.id.into()).await, CacheLookup::Miss);

        for (put, found) in [
            (&first, &first),
            (&counted, &counted),
            (&first, &counted),
            (&second, &second),
            (&counted, &second),
        ] {
            assert!(cache.put(put).await);
            assert_eq!(cache.get(first.id.into()).await, CacheLookup::Found(found.clone()));
            assert_eq!(cache.get(first.number.into()).await, CacheLookup::Found(found.clone()));
        }
    }

    #[tokio::test]
    async fn a_removal_is_remembered_whatever_comes_late() {
        let (_, student) = with_ada().await;
        let cache = MemoryStudentCache::new();
        let last = Student { version: student.version.next(), ..student.clone() };
        cache.remember_deleted(&last).await;
        cache.put(&student).await;
        cache.put(&last).await;
        assert_eq!(cache.get(student.id.into()).await, CacheLookup::Deleted);
        assert_eq!(cache.get(student.number.into()).await, CacheLookup::Deleted);
    }
}
