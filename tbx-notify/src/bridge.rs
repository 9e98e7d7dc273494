//! From a bus into the history: a handler for [`tbx_bus::consumer::Consumer`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tbx_bus::consumer::{Failure, Incoming};
use tower_service::Service;

use crate::history::History;
use crate::{EventName, Notification};

/// Appends each message to a history: its id, its topic, its kind as the event name, its body. The delivery is acknowledged after
/// the append is stored; a repetition finds its notification there.
///
/// A message that can be no notification (an unusable event name, a body that is not text) fails for good and is dead-lettered.
///
/// Give its group a single active consumer, so that messages of one key are appended in order.
#[derive(Clone)]
pub struct Bridge {
    history: Arc<dyn History>,
}

impl Bridge {
    /// A bridge into `history`.
    #[must_use]
    pub fn new(history: Arc<dyn History>) -> Self {
        Self { history }
    }
}

impl Service<Incoming> for Bridge {
    type Response = ();
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let history = Arc::clone(&self.history);
        Box::pin(async move {
            let message = &incoming.message;
            let event = EventName::new(message.kind()).map_err(Failure::permanent)?;
            let notification = Notification::new(
                message.id().clone(),
                message.topic().clone(),
                event,
                message.body().clone(),
            )
            .map_err(Failure::permanent)?
            .with_trace(incoming.trace.clone());
            history.append(notification).await.map(drop).map_err(Failure::unavailable)
        })
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bridge")
    }
}
