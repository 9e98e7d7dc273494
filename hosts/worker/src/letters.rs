//! `/admin/dead-letters`: what was given up, and what to do about it, with the verbs of `tbx dead-letters`.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::web::{Data, Json, Path, Query};
use poem::{EndpointExt, IntoResponse, Response, Route, get, handler, post};
use serde_json::{Value, json};
use tbx_backends::{Letter, LetterId, Letters, LettersError};
use tbx_service::problem::{Problem, sentence};
use tbx_service::{RouteTable, chain};
use tbx_store::sqlite::Replayed;

use crate::page::{Page, Wanted};

/// The routes.
pub(crate) const ROUTES: RouteTable = RouteTable(&[
    ("/admin/dead-letters", "GET, HEAD, OPTIONS"),
    ("/admin/dead-letters/{id}", "GET, HEAD, DELETE, OPTIONS"),
    ("/admin/dead-letters/{id}/replay", "POST, OPTIONS"),
]);

/// Adds the routes.
pub(crate) fn mount(routes: Route, letters: Arc<Letters>) -> Route {
    routes
        .at("/admin/dead-letters", get(list.data(Arc::clone(&letters))))
        .at(
            "/admin/dead-letters/:id",
            get(show.data(Arc::clone(&letters))).delete(discard.data(Arc::clone(&letters))),
        )
        .at("/admin/dead-letters/:id/replay", post(replay.data(letters)))
}

#[handler]
async fn list(letters: Data<&Arc<Letters>>, wanted: Query<Wanted>) -> poem::Result<Response> {
    let page = Page::read(&wanted)?;
    let (letters, next) = page.of(letters.list().await.map_err(failed)?)?;
    let items: Vec<Value> = letters.iter().map(object).collect();
    Ok(fresh(json!({ "items": items, "next": next.map(|id| id.to_string()) })))
}

#[handler]
async fn show(letters: Data<&Arc<Letters>>, id: Path<String>) -> poem::Result<Response> {
    let letter = letters.find(&read(&id)?).await.map_err(failed)?.ok_or_else(absent)?;
    let mut shown = object(&letter);
    // A body that is no JSON is shown as text.
    shown["body"] = serde_json::from_slice(&letter.body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&letter.body).into_owned()));
    Ok(fresh(shown))
}

#[handler]
async fn replay(letters: Data<&Arc<Letters>>, id: Path<String>) -> poem::Result<Response> {
    match letters.replay(&read(&id)?).await {
        Ok(Replayed::Queued) => Ok(fresh(json!({ "outcome": "replayed" }))),
        Ok(Replayed::Absent) => Err(absent().into()),
        Ok(Replayed::Unreadable) => {
            Err(conflict("It cannot be read as a message, so it can only be dropped."))
        }
        Ok(_) => Err(conflict("Its message is still in the outbox, on its way to other groups.")),
        Err(error) if error.is_of_the_letter() && !error.is_retryable() => {
            tracing::warn!(error = chain(&error), "dead letter not replayed");
            Err(conflict(&sentence(&error.to_string())))
        }
        Err(error) => Err(failed(error).into()),
    }
}

#[handler]
async fn discard(letters: Data<&Arc<Letters>>, id: Path<String>) -> poem::Result<StatusCode> {
    match letters.discard(&read(&id)?).await.map_err(failed)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(absent().into()),
    }
}

fn object(letter: &Letter) -> Value {
    json!({
        "id": letter.id.to_string(),
        "messageId": letter.message_id,
        "type": letter.kind,
        "channel": letter.channel,
        "group": letter.group,
        "topic": letter.topic,
        "attempts": letter.attempts,
        "reason": letter.reason,
        "detail": letter.detail,
        "diedAt": letter.died_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
    })
}

fn fresh(value: Value) -> Response {
    Json(value).with_header(header::CACHE_CONTROL, "no-store").into_response()
}

/// An id that cannot be one names nothing.
fn read(id: &str) -> Result<LetterId, Problem> {
    id.parse().map_err(|_| absent())
}

fn absent() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such dead letter.")
}

fn conflict(detail: &str) -> poem::Error {
    Problem::new(StatusCode::CONFLICT, "conflict", detail).into()
}

/// Whether it is worth asking again is all that is told; the log says why.
fn failed(error: LettersError) -> Problem {
    if error.is_retryable() {
        tracing::warn!(error = chain(&error), "dead letters not reached");
        return Problem::from_status(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(1);
    }
    tracing::error!(error = chain(&error), "dead letters cannot be had");
    Problem::from_status(StatusCode::INTERNAL_SERVER_ERROR)
}
