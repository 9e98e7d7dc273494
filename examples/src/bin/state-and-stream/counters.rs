//! The server's side: counters that tell of every change. The rules are those of the first page.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tbx_bus::{MessageId, Topic};
use tbx_notify::history::History;
use tbx_notify::{EventName, Notification, TopicSet};

/// A counter. The version grows with every change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) value: i64,
    pub(crate) version: u64,
}

/// What a notification says: the whole new state of one counter, so that one that is skipped as old is not missed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) counter: Counter,
}

#[derive(Clone)]
pub(crate) struct Counters {
    state: Arc<Mutex<BTreeMap<String, Counter>>>,
    history: Arc<dyn History>,
    topics: TopicSet,
    event: EventName,
}

pub(crate) type Refusal = (StatusCode, String);

impl Counters {
    pub(crate) fn new(history: Arc<dyn History>) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            state: Arc::default(),
            history,
            topics: TopicSet::parse("counter.*")?,
            event: EventName::new("CounterChanged")?,
        })
    }

    /// What the stream carries.
    pub(crate) fn topics(&self) -> &TopicSet {
        &self.topics
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counter>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn list(State(counters): State<Self>) -> impl IntoResponse {
        // Rule 2: these two lines stand in this order.
        let position = counters.history.bounds().head();
        let state = counters.lock().clone();
        ([("stream-position", position.to_string())], Json(state))
    }

    pub(crate) async fn add(
        State(counters): State<Self>,
        Path(name): Path<String>,
        Json(amount): Json<i64>,
    ) -> Result<Json<Counter>, Refusal> {
        let topic = counters.topic(&name)?;
        // Rule 1: the state first. Held for this step only, so that writers do not wait for the history.
        let counter = {
            let mut state = counters.lock();
            let counter = state.entry(name.clone()).or_default();
            counter.value = counter.value.saturating_add(amount);
            counter.version += 1;
            *counter
        };
        let body = serde_json::to_vec(&Changed { name, counter }).map_err(internal)?;
        let event = counters.event.clone();
        let changed = Notification::new(MessageId::generate(), topic, event, body).map_err(internal)?;
        // A client that hangs up drops this future. Appending in memory does not wait, so it is not cut off here; with a database, append
        // to the outbox in the transaction that changes the state.
        counters.history.append(changed).await.map_err(internal)?;
        Ok(Json(counter))
    }

    /// A counter whose topic the stream does not carry would be one that nobody hears of.
    fn topic(&self, name: &str) -> Result<Topic, Refusal> {
        Topic::new(&format!("counter.{name}"))
            .ok()
            .filter(|topic| self.topics.matches(topic))
            .ok_or((StatusCode::BAD_REQUEST, "a name is one word that does not begin with `$`\n".to_owned()))
    }
}

fn internal(error: impl Error) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}
