//! Everything that a system needs on the broker, as one value.

use std::fmt::Write;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};

use super::bus::on_channel;
use super::declare::QueueSpec;
use super::{Exchange, RabbitMq, declare, error, names, partitions};
use crate::{BusError, BusErrorKind, Group, TopicPattern};

/// The exchanges and groups of a system: declared by every process at its start, so that nothing published is lost to a group whose consumers come
/// later.
///
/// ```
/// use tbx_bus::rabbitmq::{Exchange, Topology};
/// use tbx_bus::{Group, TopicPattern};
///
/// let events = Exchange::new("shop.events")?;
/// let mailer = Group::new("mailer", [TopicPattern::new("order.*")?]);
/// let topology = Topology::new().with_group(&events, &mailer);
/// assert!(topology.to_mermaid().contains("order.*"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Topology {
    exchanges: Vec<Exchange>,
    groups: Vec<(Exchange, Group)>,
}

impl Topology {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an exchange.
    pub fn with_exchange(mut self, exchange: &Exchange) -> Self {
        if !self.exchanges.iter().any(|known| known.name == exchange.name) {
            self.exchanges.push(exchange.clone());
        }
        self
    }

    /// Adds a group, and the exchange that it is bound to.
    pub fn with_group(mut self, exchange: &Exchange, group: &Group) -> Self {
        self = self.with_exchange(exchange);
        self.groups.push((exchange.clone(), group.clone()));
        self
    }

    /// Makes everything exist. Repeated, it is harmless.
    ///
    /// # Errors
    ///
    /// [`Declaration`](BusErrorKind::Declaration) where something exists with other settings, with both and the remedy; or when the broker
    /// cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has made some of it, and can be repeated.
    pub async fn declare(&self, rabbit: &RabbitMq) -> Result<(), BusError> {
        let length = rabbit.0.options.queue_length;
        on_channel(rabbit, "declaring the topology", async |channel| {
            for exchange in &self.exchanges {
                declare::exchanges(channel, exchange).await?;
            }
            for (exchange, group) in &self.groups {
                declare::group(channel, exchange, group, length).await?;
            }
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Compares with what is there, and makes nothing. Returns each difference in words; none when all is as declared.
    ///
    /// What AMQP does not tell is not compared: bindings that somebody added or took away, and policies.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached, or a group can be declared nowhere.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn verify(&self, rabbit: &RabbitMq) -> Result<Vec<String>, BusError> {
        let mut differences = Vec::new();
        for exchange in &self.exchanges {
            for name in [&exchange.name, &exchange.private] {
                let same =
                    async |channel: &_| declare::one_exchange(channel, name, ExchangeKind::Topic).await;
                differences.extend(verify_exchange(rabbit, name, same).await?);
            }
        }
        for (exchange, group) in &self.groups {
            declare::check(group)?;
            let length = rabbit.0.options.queue_length;
            let same = async |channel: &_| declare::dead_exchange(channel, group).await;
            differences.extend(verify_exchange(rabbit, &names::dead(group.name()), same).await?);
            differences.extend(verify_queue(rabbit, &QueueSpec::dead(group)).await?);
            for queue in QueueSpec::group(exchange, group, length) {
                differences.extend(verify_queue(rabbit, &queue).await?);
            }
            differences.extend(verify_partitions(rabbit, group).await?);
        }
        Ok(differences)
    }

    /// A [Mermaid](https://mermaid.js.org) flow chart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut chart = String::from("flowchart LR\n");
        for exchange in &self.exchanges {
            let _ = writeln!(chart, "    {}{{{{\"{}\"}}}}", id("x", &exchange.name), exchange.name);
        }
        for (exchange, group) in &self.groups {
            Self::draw_group(&mut chart, exchange, group);
        }
        chart
    }

    fn draw_group(chart: &mut String, exchange: &Exchange, group: &Group) {
        let (queue, name) = (id("q", group.name()), group.name());
        let mode = if group.is_single_active() { "one active consumer" } else { "competing consumers" };
        let mut patterns: Vec<&str> = group.patterns().iter().map(TopicPattern::as_str).collect();
        patterns.sort_unstable();
        let private = if group.takes_private_topics() { " and private" } else { "" };
        let (from, patterns) = (id("x", &exchange.name), patterns.join(", "));
        // Where messages come in; where they rest returns them there. Writing to a string cannot fail.
        let (door, resting) = match partitions::is_spread(group) {
            true => {
                let (door, spreading) = (format!("{queue}_partitions"), names::partitions(name));
                let _ = writeln!(chart, "    {door}{{{{\"{spreading}\"}}}}");
                for part in partitions::queues(group) {
                    let node = id("q", &part);
                    let _ = writeln!(chart, "    {node}[(\"{part}<br/>{mode}\")]");
                    let _ = writeln!(chart, "    {door} -- \"by key\" --> {node}");
                }
                (door, spreading)
            }
            false => {
                let _ = writeln!(chart, "    {queue}[(\"{name}<br/>{mode}\")]");
                (queue.clone(), name.to_owned())
            }
        };
        let _ = writeln!(chart, "    {from} -- \"{patterns}{private}\" --> {door}");
        let (retry, all) = (format!("{queue}_retry[(\"{resting}.retry.*\")]"), every_queue(group));
        let _ = writeln!(chart, "    {all} -- \"given up\" --> {queue}_dead[(\"{}\")]", names::dead(name));
        let _ = writeln!(chart, "    {all} -. \"put off\" .-> {retry} -. \"when due\" .-> {door}");
    }
}

/// The nodes of all queues of a group, as Mermaid writes several at once.
fn every_queue(group: &Group) -> String {
    let nodes: Vec<String> = partitions::queues(group).iter().map(|queue| id("q", queue)).collect();
    nodes.join(" & ")
}

/// A name that Mermaid takes.
fn id(kind: &str, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{kind}_{plain}")
}

/// A passive declaration tells whether it is there; if so, an active one makes nothing and compares.
async fn verify_exchange(
    rabbit: &RabbitMq,
    name: &str,
    declare: impl AsyncFnOnce(&Channel) -> Result<(), BusError>,
) -> Result<Option<String>, BusError> {
    let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let declared = on_channel(rabbit, "verifying", async |channel| {
        // The broker compares nothing of it, not even the type.
        let kind = ExchangeKind::Topic;
        let declared = channel.exchange_declare(names::short(name), kind, passive, FieldTable::default());
        of_verification(declared.await)
    });
    if declared.await?.2.is_some() {
        return Ok(Some(format!("exchange `{name}` is missing")));
    }
    difference(on_channel(rabbit, "verifying", declare).await)
}

/// What spreads the messages of a group, if it has partitions.
async fn verify_partitions(rabbit: &RabbitMq, group: &Group) -> Result<Vec<String>, BusError> {
    let mut differences = Vec::new();
    if partitions::is_spread(group) {
        let same = async |channel: &_| partitions::without_slot(channel, group).await;
        differences.extend(verify_exchange(rabbit, &names::without_slot(group.name()), same).await?);
        let same = async |channel: &_| partitions::by_slot(channel, group).await;
        differences.extend(verify_exchange(rabbit, &names::partitions(group.name()), same).await?);
    }
    Ok(differences)
}

async fn verify_queue(rabbit: &RabbitMq, queue: &QueueSpec) -> Result<Option<String>, BusError> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = on_channel(rabbit, "verifying", async |channel| {
        let declared = channel.queue_declare(names::short(&queue.name), passive, FieldTable::default()).await;
        of_verification(declared.map(|_| ()))
    });
    if declared.await?.2.is_some() {
        return Ok(Some(format!("queue `{}` is missing", queue.name)));
    }
    let compared = on_channel(rabbit, "verifying", async |channel: &Channel| queue.declare(channel).await);
    difference(compared.await)
}

/// Whether it is missing.
fn of_verification(declared: lapin::Result<()>) -> Result<Option<()>, BusError> {
    match declared {
        Ok(()) => Ok(None),
        Err(error) if error::is_missing(&error) => Ok(Some(())),
        Err(error) => Err(error::of_channel(error, "verifying")),
    }
}

fn difference<T>(compared: Result<T, BusError>) -> Result<Option<String>, BusError> {
    match compared {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == BusErrorKind::Declaration => Ok(Some(error.context().to_owned())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_drawn() {
        let events = Exchange::new("shop.events").unwrap();
        let pattern = |text| TopicPattern::new(text).unwrap();
        let billing = Group::new("billing", [pattern("order.*"), pattern("customer.#")]).with_single_active();
        let audit = Group::new("audit", [pattern("#")]).with_private_topics();
        let topology = Topology::new().with_group(&events, &billing).with_group(&events, &audit);
        assert_eq!(
            topology.to_mermaid(),
            r##"flowchart LR
    x_shop_events{{"shop.events"}}
    q_billing[("billing<br/>one active consumer")]
    x_shop_events -- "customer.#, order.*" --> q_billing
    q_billing -- "given up" --> q_billing_dead[("billing.dead")]
    q_billing -. "put off" .-> q_billing_retry[("billing.retry.*")] -. "when due" .-> q_billing
    q_audit[("audit<br/>competing consumers")]
    x_shop_events -- "# and private" --> q_audit
    q_audit -- "given up" --> q_audit_dead[("audit.dead")]
    q_audit -. "put off" .-> q_audit_retry[("audit.retry.*")] -. "when due" .-> q_audit
"##
        );
    }

    #[test]
    fn partitions_are_drawn() {
        let events = Exchange::new("shop").unwrap();
        let billing = Group::new("billing", [TopicPattern::new("order.*").unwrap()]).with_partitions(2);
        assert_eq!(
            Topology::new().with_group(&events, &billing).to_mermaid(),
            r##"flowchart LR
    x_shop{{"shop"}}
    q_billing_partitions{{"billing.partitions"}}
    q_billing[("billing<br/>one active consumer")]
    q_billing_partitions -- "by key" --> q_billing
    q_billing_partition_1[("billing.partition.1<br/>one active consumer")]
    q_billing_partitions -- "by key" --> q_billing_partition_1
    x_shop -- "order.*" --> q_billing_partitions
    q_billing & q_billing_partition_1 -- "given up" --> q_billing_dead[("billing.dead")]
    q_billing & q_billing_partition_1 -. "put off" .-> q_billing_retry[("billing.partitions.retry.*")] -. "when due" .-> q_billing_partitions
"##
        );
    }
}
