//! The bus on RabbitMQ, 3.10 and later (feature `rabbitmq`).
//!
//! # What is on the broker
//!
//! | name | what |
//! |---|---|
//! | `<exchange>`, `<exchange>.private` | topic exchanges of one bus; the second carries topics with a private word |
//! | `<group>` | the quorum queue of a group, bound by its patterns |
//! | `<group>.partitions`, `<group>.partitions.rest` | of a group with partitions: a headers exchange, bound by the patterns instead, and a fanout exchange for what has no slot |
//! | `<group>.partition.<n>` | the quorum queues of its partitions, from the second on; the first is `<group>` |
//! | `<group>.partitions.members` | an empty quorum queue by which the consumers of such a group count each other, gone an hour after the last |
//! | `<group>.dead` | fanout exchange and quorum queue of its dead letters |
//! | `<group>.retry.<ms>` | quorum queues in which messages rest before a retry, made when first needed; `<group>.partitions.retry.<ms>` of a group with partitions |
//! | `<exchange>.listener.<random>` | the queue of a broadcast, gone with its connection |
//!
//! # What it promises, and where a broker differs
//!
//! - *Accepted* means confirmed and not returned: a majority of the group's queue has the message on disk.
//! - A message goes to each queue by itself. When one is [full](RabbitOptions::with_queue_length), the publication fails as
//!   [`QueueFull`](crate::BusErrorKind::QueueFull), and the groups with room have it already; they get it again with the repetition.
//! - While the broker is away or blocks publishers, publishing waits, for as long as
//!   [`with_publish_timeout`](RabbitOptions::with_publish_timeout) says.
//! - A delivery that is dropped unsettled comes again before what the queue holds, and after what its consumer had prefetched.
//! - A delivery that is released stays with its consumer until that leaves. Brokers before 4.3 count a return as a delivery; this process
//!   subtracts what it knows it returned unstarted, another process does not know and sees a higher attempt. So keep a group's delivery limit and
//!   the attempts of its retry policy above the number of restarts that a message may live through.
//! - Each partition of a group is prefetched as a group of its own, so up to [`partitions`](crate::Group::partitions) times the
//!   [`prefetch`](crate::Group::prefetch) wait in a process; handed out are never more than the prefetch. A [length](RabbitOptions::with_queue_length) is that of
//!   each partition.
//! - Consumers look about once a second whether they have more than their share of the partitions. What was prefetched of one that is handed over
//!   counts as delivered, as a release does. A broker tells nobody who is active, so a partition counts as had once something came out of it.
//! - A message goes to the partition that the header `tbx-slot` says: the 64-bit FNV-1a hash of its key modulo 16, as a decimal number, whose remainder by the number of
//!   partitions is that of the queue. What is published without it, by whomever, goes to the first partition.
//! - There are at most 16 partitions, and powers of two share evenly. Their number can be changed only by declaring the group anew: let publishers wait, let the group drain, delete the exchange
//!   `<group>.partitions` and then the queues, and declare.
//! - A group with an expiry is gone some seconds later than that. Its dead letters live as long as it has consumers, and then as long as itself. The queues of its
//!   retries stay, empty: give a group that puts messages off a name that returns.
//! - A retry comes after its delay and before twice that, at the latest after 1.8 hours.
//! - The headers and attributes of a published message have at most 8 KiB, for connections agree on frames of 16 KiB. What another program sends to a group with
//!   more than those 16 KiB, and up to the 128 KiB that brokers allow, is delivered all the same; the first one ends the connection that consumes, once in each process, and
//!   from then on it has large frames. A message with more than about 13 KiB returns to its group instead of being put off, and is moved to the dead letters by the broker itself, as `rejected`; our
//!   reason is in the log. Listeners of a broadcast miss what they had not taken when their connection ends, as always.
//! - A message that cannot be received at all, as with a property that is no UTF-8 or with more than 128 KiB of headers, ends the connection at each delivery, until the
//!   broker gives it up. From the second time on messages are taken one at a time for a minute, so that in its group only the one at fault is charged; the other groups of
//!   the process lose their connection with it, and what their handlers have at hand counts as delivered.
//! - A message that the broker does not take, as one on a topic that the user may not write to, closes the channel and leaves what is under way in doubt. Each of those
//!   goes alone when it is published again, and the one at fault is told what the broker says: `Unsupported` when that is for good, `Forbidden` when rights may be granted.
//! - A broker closes the channel of a consumer that has not settled a message for its `consumer_timeout`, 30 minutes unless set, and counts that as a delivery of all it had. A handler
//!   that waits longer, or an outage that is waited for, uses up deliveries at that pace: raise it where such waits are meant.
//! - A message that is no CloudEvent goes to the dead letters of the groups that it reached, as it came, and holds up nothing.
//! - A pattern that writes a private word out beside wildcards may make the broker route a little more than is wanted. The consumer acknowledges the
//!   surplus unseen.

mod balance;
mod broadcast;
mod bus;
mod client;
mod dead_letters;
mod declare;
mod dial;
mod encode;
mod error;
mod exchange;
mod facts;
mod frames;
mod group_state;
mod keeper;
mod lease;
mod letter;
mod look;
mod mail;
mod names;
mod options;
mod outbox;
mod partitions;
mod publisher;
mod released;
mod retry;
mod seat;
mod settle;
mod shelf;
mod state;
mod stored_letter;
mod supervisor;
mod suspects;
mod topology;
mod unconfirmed;
mod verdict;
mod window;

pub use bus::RabbitBus;
pub use client::RabbitMq;
pub use dead_letters::DeadLetterQueue;
pub use exchange::Exchange;
pub use facts::BrokerFacts;
pub use group_state::GroupState;
pub use options::{InvalidRabbitUrl, RabbitOptions};
pub use state::{LinkState, RabbitStats};
pub use stored_letter::StoredLetter;
pub use topology::Topology;
