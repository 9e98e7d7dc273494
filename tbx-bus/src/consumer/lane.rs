//! One delivery on its lane: attempts until it is settled.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tracing::{Instrument, Span};

use super::failure::Failure;
use super::incoming::Incoming;
use crate::{Backoff, Delivery, Reason, ReasonKind, RetryPolicy, TraceContext, span};

/// How long a lane waits for what is missing before it looks again.
const OUTAGE_BACKOFF: Backoff = Backoff::between(Duration::from_millis(100), Duration::from_secs(5));

/// How one lane treats its deliveries.
#[derive(Debug, Clone)]
pub(super) struct LaneRules {
    pub(super) policy: RetryPolicy,
    /// Whether a failed message keeps its place, so that nothing of its key overtakes it.
    pub(super) keep_order: bool,
    pub(super) stop: CancellationToken,
}

/// Handles one delivery and settles it. Errors of settling mean that it will come again; they are logged.
pub(super) async fn work<S>(service: S, delivery: Delivery, rules: LaneRules)
where
    S: Service<Incoming, Response = ()> + Send,
    S::Error: Into<Failure>,
    S::Future: Send,
{
    let (trace, span) = span::processing(&delivery);
    attempt_until_settled(service, delivery, trace, rules).instrument(span).await;
}

async fn attempt_until_settled<S>(
    mut service: S,
    delivery: Delivery,
    trace: Option<TraceContext>,
    rules: LaneRules,
) where
    S: Service<Incoming, Response = ()> + Send,
    S::Error: Into<Failure>,
    S::Future: Send,
{
    let mut attempt = delivery.attempt();
    let mut outage = 0;
    let settled = loop {
        let incoming = Incoming::new(
            Arc::clone(delivery.message()),
            Arc::clone(delivery.group()),
            attempt,
            delivery.is_redelivered() || attempt > 1,
        )
        .with_trace(trace.clone());
        let Err(failure) = catch_panic(call(&mut service, incoming)).await else {
            break delivery.ack().await;
        };
        let cause = failure.chain();
        if failure.is_permanent() {
            tracing::error!(attempt, cause, "message rejected");
            span::failed(&Span::current(), &cause);
            break delivery.dead_letter(Reason::new(ReasonKind::Rejected, cause), attempt).await;
        }
        if failure.is_unavailable() {
            outage += 1;
            let delay = OUTAGE_BACKOFF.delay(outage);
            tracing::warn!(
                cause,
                delay_ms = delay.as_millis() as u64,
                "what every message needs is missing, waiting"
            );
            tokio::select! {
                () = rules.stop.cancelled() => break delivery.release().await,
                () = tokio::time::sleep(delay) => continue,
            }
        }
        if attempt >= rules.policy.max_attempts() {
            tracing::error!(attempt, cause, "message failed for the last time");
            span::failed(&Span::current(), &cause);
            break delivery.dead_letter(Reason::new(ReasonKind::AttemptsExhausted, cause), attempt).await;
        }
        let delay = rules.policy.backoff().delay(attempt);
        tracing::warn!(attempt, cause, delay_ms = delay.as_millis() as u64, "message failed, trying again");
        if !rules.keep_order {
            break delivery.retry(delay).await;
        }
        tokio::select! {
            () = rules.stop.cancelled() => break delivery.release().await,
            () = tokio::time::sleep(delay) => attempt += 1,
        }
    };
    if let Err(error) = settled {
        tracing::warn!(error = %error, "message not settled, it will come again");
    }
}

async fn call<S>(service: &mut S, incoming: Incoming) -> Result<(), Failure>
where
    S: Service<Incoming, Response = ()>,
    S::Error: Into<Failure>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(incoming).await.map_err(Into::into)
}

/// A panic of the handler is a failed attempt, and no more than that.
async fn catch_panic(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        // The future is not polled again after a panic, so nothing sees a state it left broken.
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".to_owned());
                Poll::Ready(Err(Failure::transient(format!("the handler panicked: {text}"))))
            }
        }
    })
    .await
}
