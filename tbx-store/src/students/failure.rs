//! What a database error means to the domain.

use tbx_core::StoreError;

use crate::StoreErrorKind;

/// An outage passes, and until then everybody waits. What the database says about these very rows stays true however often it is asked: whoever waits
/// for that to pass, waits for ever.
pub(crate) fn failure(error: crate::StoreError) -> StoreError {
    match error.kind() {
        StoreErrorKind::Constraint | StoreErrorKind::Corrupt | StoreErrorKind::Invalid => {
            StoreError::corrupt(error)
        }
        _ => StoreError::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_an_outage() {
        for (kind, passes) in [
            (StoreErrorKind::Unavailable, true),
            (StoreErrorKind::Schema, true),
            (StoreErrorKind::Denied, true),
            (StoreErrorKind::Constraint, false),
            (StoreErrorKind::Corrupt, false),
            (StoreErrorKind::Invalid, false),
        ] {
            assert_eq!(failure(crate::StoreError::new(kind, "writing")).is_retryable(), passes, "{kind:?}");
        }
    }
}
