//! What every backend does with requests that a client repeats, one named test for each.
//!
//! A backend's author implements [`IdempotencyHarness`] and stamps the suite:
//!
//! ```text
//! tbx_store::idempotency_conformance! {
//!     test: #[tokio::test(flavor = "multi_thread")],
//!     harness: MyHarness::start().await,
//!     claims: { side_by_side: no("there is one writer") }
//! }
//! ```
//!
//! | claim | what it says |
//! |---|---|
//! | `side_by_side` | transactions run side by side, so a request may find an earlier one [`Running`](crate::idempotency::Claim::Running); the harness has a patience well below 5 s |

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::Transactional;
use crate::StoreError;
use crate::idempotency::{Claim, IdempotencyKey};

/// A table of keys that is empty.
#[async_trait]
pub trait IdempotencyHarness: Transactional {
    /// What a request finds under its key.
    async fn claim(
        &self,
        transaction: &mut Self::Transaction,
        key: &IdempotencyKey,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError>;

    /// Keeps the answer of a request.
    async fn keep(
        &self,
        transaction: &mut Self::Transaction,
        key: &IdempotencyKey,
        answer: &[u8],
    ) -> Result<(), StoreError>;

    /// Forgets up to `limit` keys that have expired at `now`; tells how many.
    async fn purge(&self, now: DateTime<Utc>, limit: u32) -> u64;

    /// How long a key is remembered.
    fn lifetime(&self) -> Duration {
        Duration::from_secs(24 * 3600)
    }
}

fn key(text: &str) -> IdempotencyKey {
    of("alice", text, "seven apples")
}

fn of(scope: &str, text: &str, request: &'static str) -> IdempotencyKey {
    IdempotencyKey::new(scope, text, request).expect("the suite's keys are well formed")
}

/// A request from its beginning to its end: what it found, with the answer kept when it was the first.
async fn request(harness: &impl IdempotencyHarness, key: &IdempotencyKey, answer: &[u8]) -> Claim {
    request_at(harness, key, answer, Utc::now()).await
}

async fn request_at(
    harness: &impl IdempotencyHarness,
    key: &IdempotencyKey,
    answer: &[u8],
    now: DateTime<Utc>,
) -> Claim {
    let mut transaction = harness.begin().await;
    let claim = harness.claim(&mut transaction, key, now).await.expect("an answer of the database");
    if claim == Claim::First {
        harness.keep(&mut transaction, key, answer).await.expect("the answer is kept");
        harness.commit(transaction).await;
    } else {
        harness.roll_back(transaction).await;
    }
    claim
}

fn answered(text: &'static str) -> Claim {
    Claim::Answered(Bytes::from_static(text.as_bytes()))
}

/// The purpose of it all.
pub async fn a_request_is_first_once_and_its_repetitions_get_its_answer(harness: impl IdempotencyHarness) {
    assert_eq!(request(&harness, &key("k"), b"one").await, Claim::First);
    for _ in 0..2 {
        assert_eq!(request(&harness, &key("k"), b"two").await, answered("one"));
    }
    assert_eq!(request(&harness, &key("K"), b"three").await, Claim::First, "every character counts");
}

/// A key names one request.
pub async fn the_key_of_another_request_is_told_apart(harness: impl IdempotencyHarness) {
    assert_eq!(request(&harness, &of("alice", "k", "seven apples"), b"one").await, Claim::First);
    assert_eq!(request(&harness, &of("alice", "k", "eight apples"), b"two").await, Claim::OtherRequest);
    assert_eq!(request(&harness, &of("alice", "k", ""), b"two").await, Claim::OtherRequest);
    assert_eq!(request(&harness, &of("alice", "k", "seven apples"), b"two").await, answered("one"));
}

/// Nobody finds what others have under the same key.
pub async fn the_keys_of_two_scopes_are_apart(harness: impl IdempotencyHarness) {
    for scope in ["alice", "", "al\u{ef}ce"] {
        assert_eq!(request(&harness, &of(scope, "k", "seven apples"), scope.as_bytes()).await, Claim::First);
    }
    assert_eq!(request(&harness, &of("", "k", "seven apples"), b"").await, answered(""));
    assert_eq!(request(&harness, &of("alice", "k", "seven apples"), b"").await, answered("alice"));
}

/// Bytes are bytes.
pub async fn an_answer_of_any_kind_is_given_again_as_it_was(harness: impl IdempotencyHarness) {
    let answers: [Vec<u8>; 3] = [Vec::new(), (0..=255).collect(), vec![7; 100_000]];
    for (number, answer) in answers.into_iter().enumerate() {
        let key = key(&number.to_string());
        assert_eq!(request(&harness, &key, &answer).await, Claim::First);
        assert_eq!(request(&harness, &key, b"").await, Claim::Answered(answer.into()));
    }
}

/// Effect, key and answer are one.
pub async fn what_was_rolled_back_leaves_its_key_free(harness: impl IdempotencyHarness) {
    let mut transaction = harness.begin().await;
    assert_eq!(harness.claim(&mut transaction, &key("k"), Utc::now()).await.unwrap(), Claim::First);
    harness.keep(&mut transaction, &key("k"), b"never").await.unwrap();
    harness.roll_back(transaction).await;
    assert_eq!(request(&harness, &of("alice", "k", "eight apples"), b"one").await, Claim::First);
}

/// A program that forgets to keep an answer has promised nothing.
pub async fn a_key_without_an_answer_is_free(harness: impl IdempotencyHarness) {
    let mut transaction = harness.begin().await;
    assert_eq!(harness.claim(&mut transaction, &key("k"), Utc::now()).await.unwrap(), Claim::First);
    harness.commit(transaction).await;
    assert_eq!(request(&harness, &of("alice", "k", "eight apples"), b"one").await, Claim::First);
    assert_eq!(request(&harness, &of("alice", "k", "eight apples"), b"").await, answered("one"));
}

/// Nobody writes an answer over another, or under a key that is not theirs.
pub async fn an_answer_without_a_claim_is_refused(harness: impl IdempotencyHarness) {
    let mut transaction = harness.begin().await;
    assert!(harness.keep(&mut transaction, &key("k"), b"x").await.is_err());
    harness.roll_back(transaction).await;
    assert_eq!(request(&harness, &key("k"), b"one").await, Claim::First);
    let mut transaction = harness.begin().await;
    assert!(harness.keep(&mut transaction, &key("k"), b"x").await.is_err());
    harness.roll_back(transaction).await;
    assert_eq!(request(&harness, &key("k"), b"").await, answered("one"));
}

/// A client that loses patience and asks again is not told of half a truth.
pub async fn a_second_request_waits_for_the_first_and_gets_its_answer(harness: impl IdempotencyHarness) {
    let key = key("k");
    let mut first = harness.begin().await;
    assert_eq!(harness.claim(&mut first, &key, Utc::now()).await.unwrap(), Claim::First);
    let first = async {
        // The second is at the row by then, or will be; either way it finds the first's.
        tokio::task::yield_now().await;
        harness.keep(&mut first, &key, b"one").await.unwrap();
        harness.commit(first).await;
    };
    assert_eq!(tokio::join!(request(&harness, &key, b"two"), first), (answered("one"), ()));
}

/// However many come at once.
pub async fn of_many_requests_at_once_one_is_first_and_all_get_its_answer(harness: impl IdempotencyHarness) {
    let key = key("k");
    let answers: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let mut first = None;
    let mut others = Vec::new();
    let [a, b, c, d, e, f, g, h] = &answers[..] else { unreachable!("there are eight") };
    let ask = |answer: &String| {
        let (harness, key, answer) = (&harness, &key, answer.clone());
        async move { (request(harness, key, answer.as_bytes()).await, answer) }
    };
    let asked = tokio::join!(ask(a), ask(b), ask(c), ask(d), ask(e), ask(f), ask(g), ask(h));
    for (claim, answer) in <[_; 8]>::from(asked) {
        match claim {
            Claim::First => assert_eq!(first.replace(answer), None, "two were first"),
            Claim::Answered(answer) => others.push(answer),
            Claim::Running => {}
            Claim::OtherRequest => panic!("they ask for the same"),
        }
    }
    let first = first.expect("one was first");
    assert!(others.iter().all(|answer| answer.as_ref() == first.as_bytes()), "{first}: {others:?}");
}

/// Nothing is remembered for ever.
pub async fn a_key_that_has_expired_counts_as_new(harness: impl IdempotencyHarness) {
    let now = Utc::now();
    let lifetime = TimeDelta::from_std(harness.lifetime()).expect("a lifetime");
    let (short_of_it, beyond) =
        (now + lifetime - TimeDelta::seconds(1), now + lifetime + TimeDelta::seconds(1));
    assert_eq!(request_at(&harness, &key("k"), b"one", now).await, Claim::First);
    assert_eq!(request_at(&harness, &key("k"), b"two", short_of_it).await, answered("one"));
    let other = of("alice", "k", "eight apples");
    assert_eq!(request_at(&harness, &other, b"three", beyond).await, Claim::First);
    assert_eq!(
        request_at(&harness, &other, b"four", beyond).await,
        answered("three"),
        "and is remembered anew"
    );
}

/// What nobody asks for any more goes in small bites.
pub async fn what_has_expired_is_forgotten_up_to_the_limit(harness: impl IdempotencyHarness) {
    let now = Utc::now();
    let beyond = now + TimeDelta::from_std(harness.lifetime()).expect("a lifetime") + TimeDelta::seconds(1);
    for text in ["a", "b", "c"] {
        assert_eq!(request_at(&harness, &key(text), b"x", now).await, Claim::First);
    }
    assert_eq!(request_at(&harness, &key("later"), b"x", beyond).await, Claim::First);
    assert_eq!(harness.purge(now, 10).await, 0);
    assert_eq!(harness.purge(beyond, 2).await, 2);
    assert_eq!(harness.purge(beyond, 10).await, 1);
    assert_eq!(request_at(&harness, &key("later"), b"", beyond).await, answered("x"));
}

/// A request that hangs holds up its repetitions for a moment, and nobody else.
pub async fn who_waits_too_long_for_an_earlier_request_is_told_that_it_runs(
    harness: impl IdempotencyHarness,
) {
    let mut first = harness.begin().await;
    assert_eq!(harness.claim(&mut first, &key("k"), Utc::now()).await.unwrap(), Claim::First);
    assert_eq!(request(&harness, &key("other"), b"free").await, Claim::First);
    assert_eq!(request(&harness, &key("k"), b"two").await, Claim::Running);
    harness.keep(&mut first, &key("k"), b"one").await.unwrap();
    harness.commit(first).await;
    assert_eq!(request(&harness, &key("k"), b"two").await, answered("one"));
}

/// Stamps one test per behaviour; see [`conformance::idempotency`](crate::conformance::idempotency).
#[macro_export]
macro_rules! idempotency_conformance {
    (
        test: #[$test:meta],
        harness: $harness:expr,
        claims: { side_by_side: $side_by_side:ident $(($why:literal))? $(,)? } $(,)?
    ) => {
        $crate::idempotency_conformance! { @stamp #[$test] $harness;
            a_request_is_first_once_and_its_repetitions_get_its_answer,
            the_key_of_another_request_is_told_apart,
            the_keys_of_two_scopes_are_apart,
            an_answer_of_any_kind_is_given_again_as_it_was,
            what_was_rolled_back_leaves_its_key_free,
            a_key_without_an_answer_is_free,
            an_answer_without_a_claim_is_refused,
            a_second_request_waits_for_the_first_and_gets_its_answer,
            of_many_requests_at_once_one_is_first_and_all_get_its_answer,
            a_key_that_has_expired_counts_as_new,
            what_has_expired_is_forgotten_up_to_the_limit,
        }
        $crate::idempotency_conformance! { @side_by_side $side_by_side #[$test] $harness }
    };
    (@side_by_side no $($rest:tt)*) => {};
    (@side_by_side yes #[$test:meta] $harness:expr) => {
        $crate::idempotency_conformance! { @stamp #[$test] $harness;
            who_waits_too_long_for_an_earlier_request_is_told_that_it_runs,
        }
    };
    (@stamp #[$test:meta] $harness:expr; $($case:ident,)*) => {
        $(
            #[$test]
            async fn $case() {
                $crate::conformance::idempotency::$case($harness).await;
            }
        )*
    };
}
