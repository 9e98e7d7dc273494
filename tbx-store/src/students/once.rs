//! Enrolments that a client may repeat.

use tbx_core::published::StudentBody;
use tbx_core::{Actor, Enrolled, Enrolment, RequestKey, StoreError, Student};

use crate::idempotency::{Claim, IdempotencyKey};

/// The enrolment under its key: within the keys of the actor, and the same when it asks for the same student.
pub(super) fn key_of(enrolment: &Enrolment, key: &RequestKey) -> Result<IdempotencyKey, StoreError> {
    let actor = enrolment.audit().created_by.as_ref().map(Actor::as_str).unwrap_or_default();
    let asked = (
        "enrol",
        enrolment.first_name().as_str(),
        enrolment.last_name().as_str(),
        enrolment.email().as_str(),
    );
    let asked = serde_json::to_vec(&asked).map_err(StoreError::corrupt)?;
    IdempotencyKey::new(actor, key.as_str(), asked).map_err(StoreError::corrupt)
}

/// What is kept of an enrolment.
pub(super) fn answer(student: &Student) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&StudentBody::from(student)).map_err(StoreError::corrupt)
}

/// What an earlier request has left under the key; `None` when there was none.
pub(super) fn found(claim: Claim) -> Result<Option<Enrolled>, StoreError> {
    match claim {
        Claim::First => Ok(None),
        Claim::Answered(answer) => {
            let body: StudentBody = serde_json::from_slice(&answer).map_err(StoreError::corrupt)?;
            let student = Student::try_from(body).map_err(StoreError::corrupt)?;
            Ok(Some(Enrolled { first_time: false, student }))
        }
        Claim::OtherRequest => Err(StoreError::KeyReused),
        Claim::Running => Err(StoreError::KeyInUse),
    }
}
