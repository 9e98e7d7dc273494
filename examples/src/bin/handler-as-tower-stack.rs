//! A message handler is a `tower::Service`, so tower's layers go around it: here a timeout, a concurrency limit and a layer of one's own
//! that counts. How often a message is tried is not a layer but the policy of the consumer, because it outlives the attempt.
//!
//! `cargo run -p tbx-examples --bin handler-as-tower-stack`

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::{Backoff, Group, MemoryBus, Message, Publisher, RetryPolicy, Subscriber, Topic, TopicPattern};
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimit;
use tower::timeout::Timeout;
use tower::{BoxError, Layer, Service, ServiceBuilder};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_millis(200);

/// How many attempts run at once, in all lanes together: clones of the stack share the limit.
const AT_ONCE: usize = 2;

/// The whole stack. Read from the top, as a message passes it.
fn stack<H>(handler: H, tally: &Arc<Tally>) -> Tallied<ConcurrencyLimit<Timeout<H>>>
where
    H: Service<Incoming, Response = (), Error = Failure>,
{
    ServiceBuilder::new()
        // Outermost, so that it counts a timeout as what it is to the consumer: a failed attempt.
        .layer(TallyLayer(Arc::clone(tally)))
        .concurrency_limit(AT_ONCE)
        // Innermost, so that waiting for a place is not counted against the handler.
        .timeout(TIMEOUT)
        .service(handler)
}

/// Three attempts in all; then the message is a dead letter.
fn policy() -> RetryPolicy {
    RetryPolicy::standard().with_max_attempts(3).with_backoff(Backoff::fast())
}

/// How many attempts were made, and how many of them failed.
#[derive(Debug, Default)]
struct Tally {
    attempts: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug, Clone)]
struct TallyLayer(Arc<Tally>);

impl<S> Layer<S> for TallyLayer {
    type Service = Tallied<S>;

    fn layer(&self, inner: S) -> Tallied<S> {
        Tallied { inner, tally: Arc::clone(&self.0) }
    }
}

/// Counts what `S` does.
#[derive(Debug, Clone)]
struct Tallied<S> {
    inner: S,
    tally: Arc<Tally>,
}

impl<S> Service<Incoming> for Tallied<S>
where
    S: Service<Incoming>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let tally = Arc::clone(&self.tally);
        tally.attempts.fetch_add(1, Ordering::Relaxed);
        // Called here and not inside the block: readiness belongs to this very service, not to a clone of it.
        let answer = self.inner.call(incoming);
        Box::pin(async move {
            let outcome = answer.await;
            if outcome.is_err() {
                tally.failures.fetch_add(1, Ordering::Relaxed);
            }
            outcome
        })
    }
}

/// Sends a mail. The server of one recipient takes the connection and never says a word.
async fn send_mail(incoming: Incoming) -> Result<(), Failure> {
    let recipient = String::from_utf8_lossy(incoming.message.body()).into_owned();
    println!("sending to {recipient}, attempt {}", incoming.attempt);
    match recipient.as_str() {
        "silence@example.org" => std::future::pending().await,
        // Boxed by the timeout on its way out, and still permanent to the consumer.
        "nonsense" => Err(Failure::permanent("not an address")),
        _ => Ok(()),
    }
}

fn mail_to(recipient: &str) -> Result<Message, BoxError> {
    let message = Message::new(Topic::new("mail.queued")?, "MailQueued", recipient.to_owned());
    Ok(message.with_content_type("text/plain"))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let bus = MemoryBus::new();
    let group = Group::new("mailer", [TopicPattern::new("mail.*")?]);
    bus.declare(&group).await?;
    let tally = Arc::new(Tally::default());
    let handler = stack(tower::service_fn(send_mail), &tally);
    let consumer = Consumer::new(Arc::new(bus.clone()), group, handler).with_retry(policy());
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let mut receipts = Vec::new();
    for recipient in ["silence@example.org", "ada@example.org", "nonsense", "grace@example.org"] {
        receipts.push((recipient, bus.publish(mail_to(recipient)?).await?));
    }
    for (recipient, receipt) in receipts {
        match receipt.finished().await?.into_dead_letters().first() {
            None => println!("{recipient}: sent"),
            Some(letter) => {
                println!("{recipient}: given up in attempt {}, {}", letter.attempts, letter.reason);
            }
        }
    }
    stop.cancel();
    running.await?;
    let Tally { attempts, failures } = &*tally;
    println!("{} attempts, {} failed", attempts.load(Ordering::Relaxed), failures.load(Ordering::Relaxed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tbx_bus::{DeadLetter, ReasonKind, Receipt};
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    /// A bus with the stack around `handler` at work on it.
    async fn bus_with<F>(
        handler: impl Fn(Incoming) -> F + Clone + Send + Sync + 'static,
    ) -> (MemoryBus, Arc<Tally>, JoinSet<()>)
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let bus = MemoryBus::new();
        let group = Group::new("mailer", [TopicPattern::everything()]);
        bus.declare(&group).await.unwrap();
        let tally = Arc::new(Tally::default());
        let handler = stack(tower::service_fn(handler), &tally);
        let consumer = Consumer::new(Arc::new(bus.clone()), group, handler).with_retry(policy());
        let mut consuming = JoinSet::new();
        consuming.spawn(consumer.run(CancellationToken::new()));
        (bus, tally, consuming)
    }

    async fn publish(bus: &MemoryBus, recipient: &str) -> Receipt {
        bus.publish(mail_to(recipient).unwrap()).await.unwrap()
    }

    async fn letters(receipt: Receipt) -> Vec<DeadLetter> {
        let finished = tokio::time::timeout(Duration::from_secs(3600), receipt.finished()).await;
        finished.expect("the message is finished").unwrap().into_dead_letters()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_timed_out_and_tried_again_and_given_up_while_others_flow() {
        let (bus, tally, _consuming) = bus_with(send_mail).await;
        let start = Instant::now();
        let silent = publish(&bus, "silence@example.org").await;
        let mut others = Vec::new();
        for n in 0..20 {
            others.push(publish(&bus, &format!("reader-{n}@example.org")).await);
        }
        for other in others {
            assert_eq!(letters(other).await, []);
        }
        assert!(start.elapsed() < TIMEOUT, "the others waited for it: {:?}", start.elapsed());

        let letters = letters(silent).await;
        assert!(start.elapsed() >= 3 * TIMEOUT, "given up after {:?}", start.elapsed());
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].reason.kind, letters[0].attempts), (ReasonKind::AttemptsExhausted, 3));
        assert!(letters[0].reason.detail.contains("timed out"), "{}", letters[0].reason);
        assert_eq!(tally.attempts.load(Ordering::Relaxed), 23);
        assert_eq!(tally.failures.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_keeps_its_meaning_through_the_layers() {
        let (bus, tally, _consuming) = bus_with(send_mail).await;
        let letters = letters(publish(&bus, "nonsense").await).await;
        assert_eq!((letters[0].reason.kind, letters[0].attempts), (ReasonKind::Rejected, 1));
        assert_eq!(tally.attempts.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_attempts_run_at_once_than_the_limit_allows() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let handler = {
            let most = Arc::clone(&most);
            move |_| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                async move {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(TIMEOUT / 2).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                }
            }
        };
        let (bus, tally, _consuming) = bus_with(handler).await;
        let mut receipts = Vec::new();
        for n in 0..10 {
            receipts.push(publish(&bus, &format!("reader-{n}@example.org")).await);
        }
        for receipt in receipts {
            assert_eq!(letters(receipt).await, []);
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        // Those that waited for a place longer than the timeout did not fail for it.
        assert_eq!(tally.failures.load(Ordering::Relaxed), 0);
    }
}
