//! Makes exchanges, queues and bindings exist on the broker.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, ExchangeKind};

use super::{Exchange, error, names, partitions};
use crate::{BusError, BusErrorKind, Group, TopicPattern, is_private};

/// The broker would make of the dead letters' queue what we make of a group's: count how often a person looks at a letter, and drop it.
const PRACTICALLY_NO_LIMIT: i64 = 1_000_000_000;

/// Brokers count an expiry in 32 bits of milliseconds.
const LONGEST_EXPIRY: Duration = Duration::from_secs(49 * 24 * 3600);

/// What a queue must be; comparable by the broker, which refuses another declaration of the same name.
#[derive(Debug, Clone)]
pub(super) struct QueueSpec {
    pub(super) name: String,
    pub(super) arguments: FieldTable,
}

impl QueueSpec {
    fn quorum(name: String) -> Self {
        let mut spec = Self { name, arguments: FieldTable::default() };
        spec.text("x-queue-type", "quorum");
        spec
    }

    fn text(&mut self, name: &str, value: &str) {
        self.arguments.insert(names::short(name), AMQPValue::LongString(LongString::from(value)));
    }

    fn number(&mut self, name: &str, value: i64) {
        self.arguments.insert(names::short(name), AMQPValue::LongLongInt(value));
    }

    fn expiry(&mut self, expiry: Option<Duration>) {
        if let Some(expiry) = expiry {
            // Checked by `check`, so it fits.
            self.number("x-expires", i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX));
        }
    }

    /// The queues of a group, one for each partition.
    pub(super) fn group(exchange: &Exchange, group: &Group, length: Option<u32>) -> Vec<Self> {
        let of = |name| Self::partition(name, exchange, group, length);
        partitions::queues(group).into_iter().map(of).collect()
    }

    fn partition(name: String, exchange: &Exchange, group: &Group, length: Option<u32>) -> Self {
        let mut spec = Self::quorum(name);
        spec.number("x-delivery-limit", brokers_limit(group));
        // Where a letter that the broker makes goes. It is not lost while the dead letters' queue is away, which takes this overflow.
        spec.text("x-dead-letter-exchange", &names::dead(group.name()));
        spec.text("x-dead-letter-strategy", "at-least-once");
        spec.text("x-overflow", "reject-publish");
        spec.text("x-dead-letter-routing-key", &fingerprint(exchange, group));
        if group.is_single_active() {
            spec.arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        }
        if let Some(length) = length {
            spec.number("x-max-length", length.into());
        }
        spec.expiry(group.expiry());
        spec
    }

    /// The queue of a group's dead letters.
    pub(super) fn dead(group: &Group) -> Self {
        let mut spec = Self::quorum(names::dead(group.name()));
        spec.number("x-delivery-limit", PRACTICALLY_NO_LIMIT);
        spec.expiry(group.expiry());
        spec
    }

    /// A queue in which a group's messages rest for so long, and then return: to the queue of the group, or to the exchange that gives each to the
    /// partition of its key.
    ///
    /// It does not expire: to a broker such a queue is unused, however much goes through it.
    pub(super) fn rung(group: &Group, millis: u64) -> Self {
        let spreading = names::partitions(group.name());
        let (place, exchange) = match partitions::is_spread(group) {
            true => (&*spreading, &*spreading),
            false => (group.name(), ""),
        };
        let mut spec = Self::quorum(names::retry(place, millis));
        spec.number("x-message-ttl", i64::try_from(millis).unwrap_or(i64::MAX));
        spec.text("x-dead-letter-exchange", exchange);
        spec.text("x-dead-letter-routing-key", group.name());
        spec.text("x-dead-letter-strategy", "at-least-once");
        spec.text("x-overflow", "reject-publish");
        spec
    }

    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), BusError> {
        let declared = channel.queue_declare(
            names::short(&self.name),
            QueueDeclareOptions::durable(),
            self.arguments.clone(),
        );
        match declared.await {
            Ok(_) => Ok(()),
            Err(error) if error::is_mismatch(&error) => {
                let (name, told) = (&self.name, error::told(&error));
                // Ours, theirs or both: it is in the fingerprint.
                let parts = if told.contains(" partitions): ") {
                    " (of a group with partitions: its exchange `….partitions` first, and each `….partition.…`)"
                } else {
                    ""
                };
                let context = format!(
                    "queue `{name}` exists with other settings ({told}); declare it as it is, or let it drain, delete it{parts} and declare it anew"
                );
                Err(error::of_channel(error, context))
            }
            Err(error) => Err(error::of_channel(error, format!("declaring queue `{}`", self.name))),
        }
    }
}

/// How often the broker itself lets a message return.
///
/// The limit of the group is kept by its consumers, who know what returned unstarted; the broker, before 4.3, counts that too. Its own limit
/// is the net under consumers that keep none, and stands well above.
fn brokers_limit(group: &Group) -> i64 {
    i64::from(group.delivery_limit()) * 2 + 10
}

/// Everything about a group that the broker would not compare by itself, as a text that it compares: the routing key of its dead letters, which
/// their exchange does not look at. Short enough that the broker's refusal can show both.
pub(super) fn fingerprint(exchange: &Exchange, group: &Group) -> String {
    const MAX: usize = 64;
    let mut patterns: Vec<&str> = group.patterns().iter().map(TopicPattern::as_str).collect();
    patterns.sort_unstable();
    patterns.dedup();
    let private = if group.takes_private_topics() { " +private" } else { "" };
    let spread = match group.partitions() {
        1 => String::new(),
        partitions => format!(" ({partitions} partitions)"),
    };
    let whole = format!(
        "{}{spread}: {} limit {}{private}",
        exchange.name(),
        patterns.join(","),
        group.delivery_limit()
    );
    if whole.len() <= MAX {
        return whole;
    }
    let digest = format!(" #{:016x}", fnv1a(whole.as_bytes()));
    let mut end = MAX - digest.len();
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{digest}", &whole[..end])
}

/// A digest that is the same in every version of every program, as that of the standard library is not.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Declares both exchanges of a bus.
pub(super) async fn exchanges(channel: &Channel, exchange: &Exchange) -> Result<(), BusError> {
    for name in [&exchange.name, &exchange.private] {
        one_exchange(channel, name, ExchangeKind::Topic).await?;
    }
    Ok(())
}

pub(super) async fn one_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), BusError> {
    any_exchange(channel, name, kind, true, FieldTable::default()).await
}

/// Declares an exchange, which goes with its last queue unless it lasts.
pub(super) async fn any_exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    lasts: bool,
    arguments: FieldTable,
) -> Result<(), BusError> {
    let options = ExchangeDeclareOptions { durable: true, auto_delete: !lasts, ..Default::default() };
    let declared = channel.exchange_declare(names::short(name), kind, options, arguments);
    declared.await.map_err(|error| {
        let context = match error::is_mismatch(&error) {
            true => format!(
                "exchange `{name}` exists with other settings ({}); choose another name, or delete it and declare it anew",
                error::told(&error)
            ),
            false => format!("declaring exchange `{name}`"),
        };
        error::of_channel(error, context)
    })
}

/// Declares a group with all that it needs.
pub(super) async fn group(
    channel: &Channel,
    exchange: &Exchange,
    group: &Group,
    length: Option<u32>,
) -> Result<(), BusError> {
    check(group)?;
    // The letters' place first: nothing may die before it has somewhere to go.
    dead_letters(channel, group).await?;
    for queue in QueueSpec::group(exchange, group, length) {
        queue.declare(channel).await?;
    }
    exchanges(channel, exchange).await?;
    if partitions::is_spread(group) {
        return partitions::bind(channel, exchange, group).await;
    }
    bind(channel, group.name(), exchange, group.patterns(), group.takes_private_topics()).await
}

/// Declares where a group's dead letters are kept.
pub(super) async fn dead_letters(channel: &Channel, group: &Group) -> Result<(), BusError> {
    let name = names::dead(group.name());
    dead_exchange(channel, group).await?;
    QueueSpec::dead(group).declare(channel).await?;
    bind_one(channel, &name, &name, "").await
}

pub(super) async fn dead_exchange(channel: &Channel, group: &Group) -> Result<(), BusError> {
    let (name, lasts) = (names::dead(group.name()), group.expiry().is_none());
    any_exchange(channel, &name, ExchangeKind::Fanout, lasts, FieldTable::default()).await
}

/// Whether a group can be declared at all.
pub(super) fn check(group: &Group) -> Result<(), BusError> {
    names::check("a group", group.name())?;
    if group.patterns().is_empty() {
        let context = format!("group {} wants nothing", group.name());
        return Err(BusError::new(BusErrorKind::Declaration, context));
    }
    let context = match group.expiry() {
        _ if group.partitions() > partitions::SLOTS => {
            format!("group {} wants more than {} partitions", group.name(), partitions::SLOTS)
        }
        Some(expiry) if expiry.as_millis() == 0 || expiry > LONGEST_EXPIRY => {
            format!("group {} wants an expiry that is not between a millisecond and 49 days", group.name())
        }
        _ => return Ok(()),
    };
    Err(BusError::new(BusErrorKind::Declaration, context))
}

/// Binds a queue to the exchange of open topics and, as far as it wants private ones, to that of private topics.
pub(super) async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &Exchange,
    patterns: &[TopicPattern],
    private_too: bool,
) -> Result<(), BusError> {
    for pattern in patterns {
        for name in sources(exchange, pattern, private_too) {
            bind_one(channel, queue, name, pattern.as_str()).await?;
        }
    }
    Ok(())
}

/// The exchanges that carry what a pattern can match.
pub(super) fn sources<'a>(exchange: &'a Exchange, pattern: &TopicPattern, private_too: bool) -> Vec<&'a str> {
    let writes_private_out = pattern.words().any(is_private);
    let mut sources = Vec::new();
    if !writes_private_out {
        sources.push(&*exchange.name);
    }
    if writes_private_out || private_too {
        sources.push(&*exchange.private);
    }
    sources
}

pub(super) async fn bind_one(
    channel: &Channel,
    queue: &str,
    source: &str,
    key: &str,
) -> Result<(), BusError> {
    let bound = channel.queue_bind(
        names::short(queue),
        names::short(source),
        names::short(key),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.map_err(|error| error::of_channel(error, format!("binding queue `{queue}` to `{source}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(patterns: &[&str]) -> Group {
        Group::new("readers", patterns.iter().map(|text| TopicPattern::new(text).unwrap()))
    }

    #[test]
    fn a_fingerprint_tells_settings_apart_and_not_the_order_of_patterns() {
        let exchange = Exchange::new("shop").unwrap();
        let print = |group: &Group| fingerprint(&exchange, group);
        assert_eq!(print(&readers(&["b.*", "a.*"])), "shop: a.*,b.* limit 20");
        assert_eq!(print(&readers(&["b.*", "a.*"])), print(&readers(&["a.*", "b.*"])));
        assert_ne!(print(&readers(&["a.*"])), print(&readers(&["a.*"]).with_private_topics()));
        assert_ne!(print(&readers(&["a.*"])), print(&readers(&["a.*"]).with_delivery_limit(7)));
        assert_eq!(print(&readers(&["a.*"]).with_partitions(4)), "shop (4 partitions): a.* limit 20");
    }

    #[test]
    fn nothing_rests_in_a_queue_that_the_broker_may_think_unused() {
        for group in [readers(&["a.*"]), readers(&["a.*"]).with_partitions(4)] {
            let rung = QueueSpec::rung(&group.with_expiry(Duration::from_secs(60)), 50);
            assert!(!rung.arguments.contains_key("x-expires"), "{rung:?}");
        }
    }

    #[test]
    fn a_long_fingerprint_is_cut_and_still_tells_apart() {
        let exchange = Exchange::new("shop").unwrap();
        let long = "größe.".repeat(20);
        let one = fingerprint(&exchange, &readers(&[&format!("{long}a")]));
        let other = fingerprint(&exchange, &readers(&[&format!("{long}b")]));
        assert!(one.len() <= 64 && other.len() <= 64, "{one}");
        assert_ne!(one, other);
    }
}
