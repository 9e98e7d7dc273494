//! A durable bus that takes everything, and remembers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tbx_bus::{BusError, Capabilities, Message, Publisher, Receipt};

use super::process::DEADLINE;

/// Shared by all who publish, as a broker is.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    published: Vec<Message>,
    unconfirmed: HashSet<String>,
    overlapped: bool,
}

impl Recorder {
    /// What was published, in the order in which it arrived.
    pub(super) fn published(&self) -> Vec<Message> {
        self.lock().published.clone()
    }

    /// Whether two messages of a key were ever unconfirmed at once.
    pub(super) fn overlapped(&self) -> bool {
        self.lock().overlapped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Waits until every one of these was published.
    pub(super) async fn await_all(&self, sent: &[Message]) {
        let all = async {
            loop {
                let published: HashSet<_> =
                    self.published().iter().map(|message| message.id().clone()).collect();
                if sent.iter().all(|message| published.contains(message.id())) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, all).await.expect("everything published in time");
    }

    /// Fails unless the messages of each key were first published in the order in which they were sent.
    pub(super) fn assert_order(&self, sent: &[Message]) {
        let mut seen = HashSet::new();
        let mut published = self.published();
        published.retain(|message| seen.insert(message.id().clone()));
        let keys: HashSet<_> = sent.iter().filter_map(Message::key).collect();
        for key in keys {
            let of_key = |messages: &[Message]| -> Vec<_> {
                messages.iter().filter(|m| m.key() == Some(key)).map(|m| m.id().clone()).collect()
            };
            assert_eq!(of_key(&published), of_key(sent), "key {key}");
        }
    }
}

#[async_trait]
impl Publisher for Recorder {
    fn capabilities(&self) -> Capabilities {
        Capabilities::durable()
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        let key = message.key().map(str::to_owned);
        if let Some(key) = &key {
            let mut state = self.lock();
            let overlaps = !state.unconfirmed.insert(key.clone());
            state.overlapped |= overlaps;
        }
        // Others get their turn while this one is unconfirmed.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let (mut sender, receipt) = Receipt::channel();
        let mut state = self.lock();
        state.published.push(message);
        if let Some(key) = &key {
            state.unconfirmed.remove(key);
        }
        drop(state);
        sender.accept();
        Ok(receipt)
    }
}
