//! The handler: from the wire form of an event to the use case.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tbx_bus::consumer::{Failure, Incoming};
use tbx_bus::{Message, TraceContext};
use tbx_core::published::StudentMessage;
use tbx_core::{Clock, Context, ProcessStudentEventHandler, StudentEvent, Trace};
use tower_service::Service;

/// Works off student events. An event that cannot be read, or that contradicts what is stored, fails for good; anything else means that store or bus
/// are missing, and is tried until they are back.
#[derive(Debug, Clone)]
pub struct StudentEvents {
    process: ProcessStudentEventHandler,
    clock: Arc<dyn Clock>,
}

impl StudentEvents {
    /// A handler around the use case.
    #[must_use]
    pub fn new(process: ProcessStudentEventHandler, clock: Arc<dyn Clock>) -> Self {
        Self { process, clock }
    }
}

impl Service<Incoming> for StudentEvents {
    type Response = ();
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let (process, now) = (self.process.clone(), self.clock.now());
        Box::pin(async move {
            let event = read(&incoming.message)?;
            let context = context(now, incoming.trace.as_ref());
            match process.execute(&context, event).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_retryable() => Err(Failure::unavailable(error)),
                Err(error) => Err(Failure::permanent(error)),
            }
        })
    }
}

fn read(message: &Message) -> Result<StudentEvent, Failure> {
    let published: StudentMessage = serde_json::from_slice(message.body()).map_err(Failure::permanent)?;
    StudentEvent::try_from(published).map_err(Failure::permanent)
}

/// The circumstances of this step: what it stores and sends goes on from the span it is worked off in.
fn context(now: chrono::DateTime<chrono::Utc>, trace: Option<&TraceContext>) -> Context {
    let context = Context::new(now);
    match trace {
        Some(trace) => context.with_trace(Trace {
            traceparent: trace.traceparent().to_owned(),
            tracestate: trace.tracestate().map(str::to_owned),
        }),
        None => context,
    }
}
