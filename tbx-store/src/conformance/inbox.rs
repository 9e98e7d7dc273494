//! What every inbox does, one named test for each.
//!
//! A backend's author implements [`InboxHarness`] and stamps the suite:
//!
//! ```text
//! tbx_store::inbox_conformance! {
//!     test: #[tokio::test(flavor = "multi_thread")],
//!     harness: MyHarness::start().await,
//! }
//! ```

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tbx_bus::MessageId;

use super::Transactional;

/// An inbox that is empty.
#[async_trait]
pub trait InboxHarness: Transactional {
    /// Whether `consumer` handles the message for the first time.
    async fn first_time(&self, transaction: &mut Self::Transaction, consumer: &str, id: &MessageId) -> bool;

    /// Forgets up to `limit` messages that were handled before `before`; tells how many.
    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> u64;
}

/// Consumers have nothing to do with each other.
pub async fn a_message_is_new_once_for_each_consumer(harness: impl InboxHarness) {
    let id = MessageId::generate();
    let mut transaction = harness.begin().await;
    assert!(harness.first_time(&mut transaction, "one", &id).await);
    assert!(!harness.first_time(&mut transaction, "one", &id).await);
    assert!(harness.first_time(&mut transaction, "other", &id).await);
    assert!(harness.first_time(&mut transaction, "one", &MessageId::generate()).await);
    harness.commit(transaction).await;
    let mut transaction = harness.begin().await;
    assert!(!harness.first_time(&mut transaction, "one", &id).await);
}

/// The effect and the memory of it, or neither.
pub async fn a_rolled_back_effect_is_not_remembered(harness: impl InboxHarness) {
    let id = MessageId::generate();
    let mut transaction = harness.begin().await;
    assert!(harness.first_time(&mut transaction, "one", &id).await);
    harness.roll_back(transaction).await;
    let mut transaction = harness.begin().await;
    assert!(harness.first_time(&mut transaction, "one", &id).await);
    harness.roll_back(transaction).await;
}

/// Two who handle one message at once have one effect between them.
pub async fn a_second_handler_waits_until_the_first_has_committed_and_finds_it_done(
    harness: impl InboxHarness,
) {
    let id = MessageId::generate();
    let mut first = harness.begin().await;
    assert!(harness.first_time(&mut first, "one", &id).await);
    let second = async {
        let mut second = harness.begin().await;
        harness.first_time(&mut second, "one", &id).await
    };
    let commit = async {
        // The second is at the row by then, or will be; either way it finds the first's.
        tokio::task::yield_now().await;
        harness.commit(first).await;
    };
    assert_eq!(tokio::join!(second, commit), (false, ()));
}

/// What is old goes in small bites, and counts as new when it comes again.
pub async fn what_is_old_is_forgotten_up_to_the_limit_and_is_new_again(harness: impl InboxHarness) {
    let id = MessageId::generate();
    let mut transaction = harness.begin().await;
    for consumer in ["one", "other", "third"] {
        assert!(harness.first_time(&mut transaction, consumer, &id).await);
    }
    harness.commit(transaction).await;
    let (past, future) = (Utc::now() - TimeDelta::minutes(1), Utc::now() + TimeDelta::minutes(1));
    assert_eq!(harness.purge(past, 10).await, 0);
    assert_eq!(harness.purge(future, 2).await, 2);
    assert_eq!(harness.purge(future, 10).await, 1);
    let mut transaction = harness.begin().await;
    assert!(harness.first_time(&mut transaction, "one", &id).await);
    harness.roll_back(transaction).await;
}

/// Stamps one test per behaviour; see [`conformance::inbox`](crate::conformance::inbox).
#[macro_export]
macro_rules! inbox_conformance {
    (test: #[$test:meta], harness: $harness:expr $(,)?) => {
        $crate::inbox_conformance! { @stamp #[$test] $harness;
            a_message_is_new_once_for_each_consumer,
            a_rolled_back_effect_is_not_remembered,
            a_second_handler_waits_until_the_first_has_committed_and_finds_it_done,
            what_is_old_is_forgotten_up_to_the_limit_and_is_new_again,
        }
    };
    (@stamp #[$test:meta] $harness:expr; $($case:ident,)*) => {
        $(
            #[$test]
            async fn $case() {
                $crate::conformance::inbox::$case($harness).await;
            }
        )*
    };
}
