//! The states of the parts, as health checks show them.

use tbx_bus::consumer::ConsumerState;
use tbx_bus::rabbitmq::LinkState;
use tbx_service::Status;
use tbx_store::outbox::RelayState;

/// What a relay is doing.
#[must_use]
pub fn relay(state: &RelayState) -> Status {
    match state {
        RelayState::Running => Status::Pass,
        RelayState::Recovering(left) => {
            Status::Fail(format!("recovering, {left} messages to try one by one"))
        }
        RelayState::Failing(why) => Status::Fail(why.clone()),
        _ => Status::Fail("stopped".to_owned()),
    }
}

/// What a consumer is doing.
#[must_use]
pub fn consumer(state: &ConsumerState) -> Status {
    match state {
        ConsumerState::Running => Status::Pass,
        ConsumerState::Connecting(Some(why)) => Status::Fail(why.clone()),
        ConsumerState::Connecting(None) => Status::Fail("connecting".to_owned()),
        ConsumerState::Draining => Status::Warn("draining".to_owned()),
        _ => Status::Fail("stopped".to_owned()),
    }
}

/// What the connection to a broker is doing. Being without one is a warning: writes are answered, and their events wait in the outbox. Where nothing can be
/// done without a broker, the consumers say so.
#[must_use]
pub fn link(state: &LinkState) -> Status {
    match state {
        LinkState::Running => Status::Pass,
        LinkState::Blocked(why) => Status::Warn(format!("the broker takes no messages now: {why}")),
        LinkState::Connecting(Some(why)) => Status::Warn(why.clone()),
        LinkState::Connecting(None) => Status::Warn("connecting".to_owned()),
        _ => Status::Fail("closed".to_owned()),
    }
}

/// Whether a cache on a server answers. Being without it is a warning: reads go to the database.
#[must_use]
pub fn cache(is_available: bool) -> Status {
    if is_available {
        Status::Pass
    } else {
        Status::Warn("does not answer, so reads go to the database; the log says why".to_owned())
    }
}
