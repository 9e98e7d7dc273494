#![doc = include_str!("../README.md")]

mod capabilities;
pub mod cloudevents;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "consumer")]
pub mod consumer;
mod dead_letter;
mod delivery;
mod error;
mod memory;
mod message;
mod publisher;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
mod replay;
mod retry;
pub mod span;
mod subscriber;
#[cfg(feature = "testkit")]
pub mod testkit;
mod time;
mod topic;
mod trace;

pub use capabilities::{Capabilities, SettlesOn};
pub use dead_letter::{DeadLetter, DeadLetterSink, MemoryDeadLetters, Reason, ReasonKind};
pub use delivery::{Delivery, Outcome, Settle};
pub use error::{BusError, BusErrorKind};
pub use memory::{Faults, MemoryBus, MemoryBusBuilder, Unroutable};
pub use message::{Headers, InvalidText, Message, MessageId};
pub use publisher::{Accepted, Finished, Publisher, Receipt, ReceiptSender};
pub use retry::{Backoff, RetryPolicy};
pub use subscriber::{Broadcast, Deliveries, DeliverySource, Group, Subscriber};
pub use topic::{MAX_TOPIC_BYTES, Topic, TopicError, TopicPattern, is_private};
pub use trace::{TraceContext, TraceContextError};
