//! Students in the versioned cache.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tbx_core::published::StudentBody;
use tbx_core::{CacheLookup, Student, StudentCache, StudentRef};

use crate::cache::{Cache, CacheVersion, Cached};

/// Keeps each student under its id and under its number. A cache that fails is gone on without; it tells of its outages itself, and makes up for them.
#[derive(Clone)]
pub struct CachedStudents {
    cache: Arc<dyn Cache>,
}

impl CachedStudents {
    /// Students in `cache`.
    #[must_use]
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        Self { cache }
    }

    async fn store(&self, student: &Student, version: CacheVersion, value: Option<Bytes>) -> bool {
        let mut stored = true;
        for key in [key(StudentRef::Id(student.id)), key(StudentRef::Number(student.number))] {
            let entry = Cached { version, value: value.clone() };
            if let Err(error) = self.cache.put(&key, entry).await {
                tracing::debug!(%error, cause = ?std::error::Error::source(&error), "student not cached");
                stored = false;
            }
        }
        stored
    }
}

fn key(student: StudentRef) -> String {
    match student {
        StudentRef::Id(id) => format!("student:{id}"),
        StudentRef::Number(number) => format!("student:{number}"),
    }
}

#[async_trait]
impl StudentCache for CachedStudents {
    async fn get(&self, student: StudentRef) -> CacheLookup {
        let entry = match self.cache.get(&key(student)).await {
            Ok(Some(entry)) => entry,
            Ok(None) => return CacheLookup::Miss,
            Err(error) => {
                tracing::debug!(%error, cause = ?std::error::Error::source(&error), "cache not read");
                return CacheLookup::Miss;
            }
        };
        let Some(bytes) = entry.value else { return CacheLookup::Deleted };
        let body = serde_json::from_slice::<StudentBody>(&bytes).ok();
        // What another version of this program wrote and this one cannot read counts as absent.
        body.and_then(|body| Student::try_from(body).ok()).map_or(CacheLookup::Miss, CacheLookup::Found)
    }

    async fn put(&self, student: &Student) -> bool {
        let (version, updates) = student.revision();
        match serde_json::to_vec(&StudentBody::from(student)) {
            Ok(bytes) => self.store(student, CacheVersion(version.get(), updates), Some(bytes.into())).await,
            Err(error) => {
                tracing::warn!(%error, "student not encoded for the cache");
                false
            }
        }
    }

    async fn remember_deleted(&self, last: &Student) {
        // Newer than any state: ids and numbers do not come back.
        self.store(last, CacheVersion(u64::MAX, u64::MAX), None).await;
    }
}

impl fmt::Debug for CachedStudents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedStudents")
    }
}
