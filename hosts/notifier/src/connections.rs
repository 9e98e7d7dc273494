//! `GET /api/notifications/connections`: who listens.

use poem::endpoint::make_sync;
use poem::http::header;
use poem::web::Json;
use poem::{Endpoint, IntoResponse, Response};
use serde_json::{Map, Value, json};
use tbx_notify::hub::Hub;

/// How many patterns are named.
const PATTERNS: usize = 100;

/// Counts by transport, and the busiest patterns.
pub(crate) fn connections(hub: Hub) -> impl Endpoint<Output = Response> {
    make_sync(move |_| Json(counts(&hub)).with_header(header::CACHE_CONTROL, "no-store").into_response())
}

fn counts(hub: &Hub) -> Value {
    let by_transport = hub.readers_by_transport();
    let transports: Map<String, Value> = by_transport
        .iter()
        .map(|(transport, readers)| (transport.as_str().to_owned(), (*readers).into()))
        .collect();
    let patterns: Vec<Value> = hub
        .busiest_patterns(PATTERNS)
        .into_iter()
        .map(|(pattern, connections)| json!({ "pattern": pattern.as_str(), "connections": connections }))
        .collect();
    json!({ "total": hub.readers(), "transports": transports, "patterns": patterns })
}
