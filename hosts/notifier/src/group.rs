//! The group of the notifiers.

use tbx_bus::{Group, TopicPattern};
use tbx_core::published::NOTIFIER_GROUP;

/// `tbx.notifier`: every notification, private ones too because the hub keeps their rule; one notifier active at a time, so that the history has each student's notifications in order.
pub fn group() -> Group {
    Group::new(NOTIFIER_GROUP, [TopicPattern::everything()])
        .with_private_topics()
        .with_single_active()
        .with_prefetch(256)
}
