//! The states of the parts, as health checks show them.

use tbx_bus::consumer::ConsumerState;
use tbx_service::Status;
use tbx_store::outbox::RelayState;

pub(super) fn relay(state: &RelayState) -> Status {
    match state {
        RelayState::Running => Status::Pass,
        RelayState::Recovering(left) => {
            Status::Fail(format!("recovering, {left} messages to try one by one"))
        }
        RelayState::Failing(why) => Status::Fail(why.clone()),
        _ => Status::Fail("stopped".to_owned()),
    }
}

pub(super) fn consumer(state: &ConsumerState) -> Status {
    match state {
        ConsumerState::Running => Status::Pass,
        ConsumerState::Connecting(Some(why)) => Status::Fail(why.clone()),
        ConsumerState::Connecting(None) => Status::Fail("connecting".to_owned()),
        ConsumerState::Draining => Status::Warn("draining".to_owned()),
        _ => Status::Fail("stopped".to_owned()),
    }
}
