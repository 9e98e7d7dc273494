//! Messages in an order worth keeping.

use tbx_bus::Message;

use super::process::message;

/// So many messages over a few keys, in turns of unequal length.
pub(super) fn mixed(count: usize) -> Vec<Message> {
    (0..count).map(|number| message(Some(&format!("k{}", number * number % 7)))).collect()
}
