//! Another group beside the workers, to see what reaches others.

use std::sync::Arc;

use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
use tbx_bus::{Group, Subscriber, TopicPattern};
use tbx_core::published::EVENTS_CHANNEL;
use tbx_it::within;
use tbx_services::Vhost;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The group `audit` on the channel of events. It takes everything and remembers it.
pub(crate) struct Audit {
    seen: watch::Receiver<Vec<Seen>>,
    /// Dropped, it would end what is read.
    _rabbit: RabbitMq,
    _reading: AbortOnDropHandle<()>,
}

/// A message that came.
struct Seen {
    id: String,
    body: String,
}

impl Audit {
    /// From now on nothing of the channel passes it by.
    pub(crate) async fn start(vhost: &Vhost) -> Self {
        let rabbit = RabbitMq::start(RabbitOptions::new(&vhost.url()).unwrap());
        let bus = Arc::new(rabbit.bus(Exchange::new(EVENTS_CHANNEL).unwrap()));
        let group = Group::new("audit", [TopicPattern::everything()]);
        bus.declare(&group).await.unwrap();
        let mut deliveries = bus.consume(&group).await.unwrap();
        let (sender, seen) = watch::channel(Vec::new());
        let reading = async move {
            while let Ok(Some(delivery)) = deliveries.next().await {
                let message = delivery.message();
                let body = String::from_utf8_lossy(message.body()).into_owned();
                let came = Seen { id: message.id().to_string(), body };
                sender.send_modify(|seen| seen.push(came));
                delivery.ack().await.unwrap();
            }
        };
        Self { seen, _rabbit: rabbit, _reading: AbortOnDropHandle::new(tokio::spawn(reading)) }
    }

    /// Waits for a message whose body holds `text`.
    pub(crate) async fn sees(&self, text: &str) {
        let mut seen = self.seen.clone();
        let came = seen.wait_for(|seen| seen.iter().any(|message| message.body.contains(text)));
        within(text, came).await.unwrap();
    }

    /// How often a message came.
    pub(crate) fn times(&self, id: &str) -> usize {
        self.seen.borrow().iter().filter(|message| message.id == id).count()
    }
}
