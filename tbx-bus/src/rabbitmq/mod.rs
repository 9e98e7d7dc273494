//! The bus on RabbitMQ, 3.10 and later (feature `rabbitmq`).
//!
//! # What is on the broker
//!
//! | name | what |
//! |---|---|
//! | `<exchange>`, `<exchange>.private` | topic exchanges of one bus; the second carries topics with a private word |
//! | `<group>` | the quorum queue of a group, bound by its patterns |
//! | `<group>.dead` | fanout exchange and quorum queue of its dead letters |
//! | `<group>.retry.<ms>` | quorum queues in which messages rest before a retry, made when first needed |
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
//! - A retry comes after its delay and before twice that, at the latest after 1.8 hours.
//! - A message that is no CloudEvent goes to the dead letters of the groups that it reached, as it came, and holds up nothing.
//! - A pattern that writes a private word out beside wildcards may make the broker route a little more than is wanted. The consumer acknowledges the
//!   surplus unseen.

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
mod group_state;
mod keeper;
mod letter;
mod mail;
mod names;
mod options;
mod publisher;
mod released;
mod retry;
mod settle;
mod shelf;
mod state;
mod supervisor;
mod topology;
mod verdict;
mod window;

pub use bus::RabbitBus;
pub use client::RabbitMq;
pub use dead_letters::{DeadLetterQueue, StoredLetter};
pub use exchange::Exchange;
pub use facts::BrokerFacts;
pub use group_state::GroupState;
pub use options::{InvalidRabbitUrl, RabbitOptions};
pub use state::{LinkState, RabbitStats};
pub use topology::Topology;
