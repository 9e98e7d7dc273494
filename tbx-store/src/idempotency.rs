//! Requests that a client may repeat: under a key of its own choice, with the answer kept in the transaction of the effect.
//!
//! ```text
//! begin ─► claim ─┬─ First ─────────► the effect ─► keep the answer ─► commit
//!                 ├─ Answered ──────► give that answer again          (roll back)
//!                 ├─ OtherRequest ──► refuse: the key is taken        (roll back)
//!                 └─ Running ───────► refuse: ask again in a moment   (roll back)
//! ```
//!
//! - Effect, key and answer are committed together or not at all. What was rolled back leaves its key free.
//! - A second request under a key waits for the first, for a moment. What it is told then is what the first has committed.
//! - A key is remembered for 24 hours unless set otherwise; after that it counts as new. Only what was carried out is remembered, not what was refused.
//! - What is kept may hold what the request and the answer hold about people, for as long. Deleting the rest does not delete it.

use std::fmt;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

/// How long a key is remembered unless set otherwise.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A request that a client may repeat: whose it is, how the client calls it, and what it asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    scope: String,
    key: String,
    request: Bytes,
}

impl IdempotencyKey {
    /// Most bytes a scope may have.
    pub const MAX_SCOPE_BYTES: usize = 1_024;
    /// Most bytes a key may have.
    pub const MAX_KEY_BYTES: usize = 255;

    /// A request under `key`. `scope` is within what the key is unique, such as the name of who asks; it may be empty. `request` is what two requests are
    /// told apart by, and is kept as it is: the essence of what is asked, or a digest of it when that is large.
    ///
    /// # Errors
    ///
    /// When the key is empty, one of the texts is too long, or has a zero character.
    pub fn new(scope: &str, key: &str, request: impl Into<Bytes>) -> Result<Self, InvalidIdempotencyKey> {
        let rule = if key.is_empty() {
            "must not be empty"
        } else if key.len() > Self::MAX_KEY_BYTES {
            "must not be longer than 255 bytes"
        } else if scope.len() > Self::MAX_SCOPE_BYTES {
            "must not have a scope longer than 1,024 bytes"
        } else if key.contains('\0') || scope.contains('\0') {
            "must have no zero character"
        } else {
            return Ok(Self { scope: scope.to_owned(), key: key.to_owned(), request: request.into() });
        };
        Err(InvalidIdempotencyKey(rule))
    }

    /// Within what the key is unique.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// How the client calls the request.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is asked for.
    #[must_use]
    pub fn request(&self) -> &Bytes {
        &self.request
    }

    /// What a stored request means for this one.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn judge(&self, request: &[u8], answer: Vec<u8>) -> Claim {
        if self.request == request { Claim::Answered(answer.into()) } else { Claim::OtherRequest }
    }
}

impl fmt::Debug for IdempotencyKey {
    /// Leaves out what is asked: it may hold what logs must not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey")
            .field("scope", &self.scope)
            .field("key", &self.key)
            .field("request_bytes", &self.request.len())
            .finish()
    }
}

/// A key that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an idempotency key {0}")]
pub struct InvalidIdempotencyKey(&'static str);

/// What a request finds under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "only the first request may have its effect"]
#[non_exhaustive]
pub enum Claim {
    /// Nothing: carry the request out, and keep its answer in the same transaction.
    First,
    /// The answer that it was given before. Roll the transaction back.
    Answered(Bytes),
    /// The key was given to another request. Roll the transaction back.
    OtherRequest,
    /// A request under this key has not come to an end. Roll the transaction back.
    Running,
}

/// When a key that is claimed at `now` is forgotten.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn expiry(
    now: chrono::DateTime<chrono::Utc>,
    lifetime: Duration,
) -> chrono::DateTime<chrono::Utc> {
    let lifetime = chrono::TimeDelta::from_std(lifetime).unwrap_or(chrono::TimeDelta::MAX);
    now.checked_add_signed(lifetime).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_into_every_table() {
        assert!(IdempotencyKey::new("", "k", "x").is_ok());
        assert!(IdempotencyKey::new(&"s".repeat(1_024), &"k".repeat(255), "").is_ok());
        for (scope, key) in
            [("", String::new()), ("", "k".repeat(256)), ("a\0", "k".to_owned()), ("", "\0".to_owned())]
        {
            assert!(IdempotencyKey::new(scope, &key, "x").is_err(), "{scope:?} {key:?}");
        }
        assert!(IdempotencyKey::new(&"s".repeat(1_025), "k", "x").is_err());
    }

    #[test]
    fn what_is_asked_is_not_shown() {
        let key = IdempotencyKey::new("s", "k", "secret").unwrap();
        assert!(!format!("{key:?}").contains("secret"));
    }
}
