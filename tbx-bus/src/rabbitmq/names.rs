//! Names on the broker: what a group, an exchange and a header are called there.

use crate::{BusError, BusErrorKind};

pub(super) use crate::replay::REPLAYED;

/// The topic that a message was published on, where the routing key tells something else: a retry, a letter, a replay.
pub(super) const TOPIC: &str = "tbx-topic";
/// In which slot the key of a message is; what has no key has none. By it the messages of a group with partitions are spread.
pub(super) const SLOT: &str = "tbx-slot";
/// How often a message was delivered before it was put off.
pub(super) const ATTEMPTS: &str = "tbx-attempts";
/// The exchange that a letter came from.
pub(super) const EXCHANGE: &str = "tbx-exchange";
/// Why a letter was given up, as the word of its kind.
pub(super) const REASON: &str = "tbx-reason";
/// Why a letter was given up, in words.
pub(super) const DETAIL: &str = "tbx-reason-detail";

/// Headers that begin so belong to us; a message's own ones that do are lost, but for the word that it is a replay.
const OWN_PREFIX: &str = "tbx-";

/// What the broker adds on its way.
const OF_THE_BROKER: [&str; 9] = [
    "x-death",
    "x-delivery-count",
    "x-acquired-count",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
];

/// By these the broker sends a message to other queues as well.
const ROUTING: [&str; 2] = ["CC", "BCC"];

/// How often the broker has taken a message of a quorum queue back.
pub(super) const DELIVERY_COUNT: &str = "x-delivery-count";
/// The history of broker-made dead letters.
pub(super) const DEATHS: &str = "x-death";

/// Whether a header is no part of the message.
pub(super) fn is_reserved(header: &str) -> bool {
    header != REPLAYED && header.starts_with(OWN_PREFIX) || OF_THE_BROKER.contains(&header) || routes(header)
}

/// Whether the broker would send a message with this header elsewhere as well; it closes the channel over one that is no list.
pub(super) fn routes(header: &str) -> bool {
    ROUTING.contains(&header)
}

/// The exchange beside `exchange` that carries private topics.
///
/// The broker's wildcards know nothing of private words. Kept apart, such topics reach only the groups that write a private word out,
/// or take private topics by their wildcards.
pub(super) fn private_exchange(exchange: &str) -> String {
    format!("{exchange}.private")
}

/// The queue of a group's dead letters, and the exchange that the broker itself sends them through.
pub(super) fn dead(group: &str) -> String {
    format!("{group}.dead")
}

/// The exchange that spreads the messages of a group over its partitions, by their slots.
pub(super) fn partitions(group: &str) -> String {
    format!("{group}.partitions")
}

/// The queue by which the consumers of a group with partitions count each other.
pub(super) fn members(group: &str) -> String {
    format!("{group}.partitions.members")
}

/// The exchange of what has no slot.
pub(super) fn without_slot(group: &str) -> String {
    format!("{group}.partitions.rest")
}

/// The queue of one partition. The first has the name of the group, so that a group with partitions and one without cannot both be there.
pub(super) fn partition(group: &str, index: u32) -> String {
    match index {
        0 => group.to_owned(),
        _ => format!("{group}.partition.{index}"),
    }
}

/// The queue in which messages rest for so long before they return to `place`, a group or what spreads it.
pub(super) fn retry(place: &str, millis: u64) -> String {
    format!("{place}.retry.{millis}")
}

/// The longest name that leaves room for what we append to it.
const MAX_NAME_BYTES: usize = 230;

/// Whether the broker takes `name` for a `what`.
pub(super) fn check(what: &str, name: &str) -> Result<(), BusError> {
    let rule = if name.is_empty() {
        "must not be empty"
    } else if name.len() > MAX_NAME_BYTES {
        "must not be longer than 230 bytes"
    } else if name.starts_with("amq.") {
        "must not begin with `amq.`, which the broker keeps for itself"
    } else {
        return Ok(());
    };
    Err(BusError::new(BusErrorKind::Declaration, format!("the name of {what} {rule}")))
}

/// A text of at most 255 bytes as the broker takes it; what is longer is cut at a character.
pub(super) fn short(text: &str) -> lapin::types::ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // Cut above, so it always fits.
    lapin::types::ShortString::try_new(&text[..end]).unwrap_or_default()
}
