//! The group of the workers.

use tbx_bus::{Group, TopicPattern};
use tbx_core::published::WORKER_GROUP;

/// `tbx.worker`: every event of the students' channel, one worker active at a time, so that each student's events are worked off in order.
pub fn group() -> Group {
    Group::new(WORKER_GROUP, [TopicPattern::everything()]).with_single_active()
}
