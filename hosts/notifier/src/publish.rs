//! `POST /api/notifications`: a notification from any program.

use poem::http::StatusCode;
use poem::web::Data;
use poem::{Body, IntoResponse, Request, Response, handler};
use serde_json::Value;
use tbx_bus::{Message, Topic, TraceContext, is_private};
use tbx_notify::EventName;
use tbx_service::problem::{FieldFault, Problem};

use crate::intake::Intake;

/// Names that have a meaning of their own to clients.
const RESERVED_EVENTS: [&str; 6] = ["connected", "gap", "open", "error", "message", "reconnect"];
/// What only the system itself tells.
const RESERVED_TOPIC: &str = "student";
const SOURCE: &str = "/notifications";

/// Takes `{topic, event, data}` and answers 202 `{id}` once it is safe.
#[handler]
pub(crate) async fn publish(
    request: &Request,
    body: Body,
    Data(intake): Data<&Intake>,
) -> poem::Result<Response> {
    let json = request.content_type().is_some_and(|content_type| {
        content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    });
    if !json {
        return Err(problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body must be sent with Content-Type: application/json.",
        )
        .into());
    }
    let bytes = body.into_bytes().await?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        let detail =
            format!("The body is no JSON: error at line {}, column {}.", error.line(), error.column());
        problem(StatusCode::BAD_REQUEST, "malformed-request", &detail)
    })?;
    let message = read(&value)?.with_trace(request.data::<TraceContext>().map(TraceContext::child));
    let id = message.id().to_string();
    intake.take(message).await.map_err(|error| {
        tracing::warn!(%error, cause = ?std::error::Error::source(&error), "notification not taken");
        problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The notification could not be taken now; retry.",
        )
        .with_retry_after(1)
    })?;
    let answer = serde_json::json!({ "id": id });
    Ok(poem::web::Json(answer).with_status(StatusCode::ACCEPTED).into_response())
}

/// The message of a body, or every fault in it.
fn read(value: &Value) -> Result<Message, Problem> {
    let Value::Object(object) = value else {
        return Err(invalid(vec![fault("", "wrong-type", "must be a JSON object")]));
    };
    let mut faults = Vec::new();
    let mut text = |name: &str| match object.get(name) {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => {
            faults.push(fault(&format!("#/{name}"), "wrong-type", "must be a string"));
            None
        }
        None => {
            faults.push(fault(&format!("#/{name}"), "missing", "is required"));
            None
        }
    };
    let (topic, event) = (text("topic"), text("event"));
    let topic = topic.and_then(|text| check_topic(text).map_err(|fault| faults.push(fault)).ok());
    let event = event.and_then(|text| check_event(text).map_err(|fault| faults.push(fault)).ok());
    let Some(data) = object.get("data") else {
        faults.push(fault("#/data", "missing", "is required"));
        return Err(invalid(faults));
    };
    match (topic, event) {
        (Some(topic), Some(event)) if faults.is_empty() => {
            // One key for each topic: its notifications keep their order. A topic is never longer than a key may be.
            let key = topic.as_str().to_owned();
            let message = Message::new(topic, event.as_str(), data.to_string()).with_source(SOURCE);
            message.with_key(&key).map_err(|_| invalid(vec![fault("#/topic", "invalid", "cannot be used")]))
        }
        _ => Err(invalid(faults)),
    }
}

fn check_topic(text: &str) -> Result<Topic, FieldFault> {
    let topic = Topic::new(text).map_err(|error| fault("#/topic", "invalid", &error.to_string()))?;
    if topic.words().any(is_private) {
        return Err(fault("#/topic", "reserved", "a topic with a private word cannot be published here"));
    }
    if topic.words().next() == Some(RESERVED_TOPIC) {
        return Err(fault("#/topic", "reserved", "topics of students are told by the system itself"));
    }
    Ok(topic)
}

fn check_event(text: &str) -> Result<EventName, FieldFault> {
    let event = EventName::new(text).map_err(|error| fault("#/event", "invalid", &error.to_string()))?;
    if RESERVED_EVENTS.contains(&text) {
        return Err(fault("#/event", "reserved", "has a meaning of its own to clients"));
    }
    Ok(event)
}

fn invalid(faults: Vec<FieldFault>) -> Problem {
    let problem =
        problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", "The notification breaks rules.");
    faults
        .into_iter()
        .fold(problem, |problem, fault| problem.with_error(fault.pointer, fault.code, fault.detail))
}

fn fault(pointer: &str, code: &str, detail: &str) -> FieldFault {
    FieldFault { pointer: pointer.to_owned(), code: code.to_owned(), detail: detail.to_owned() }
}

fn problem(status: StatusCode, code: &'static str, detail: &str) -> Problem {
    Problem::new(status, code, detail.to_owned())
}
