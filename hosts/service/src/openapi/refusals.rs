//! The answers to requests that are not carried out, with the problem documents in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::each_operation;
use crate::problem::{CONTENT_TYPE, PROBLEM_CODES, ProblemCode};

/// What any request can be told: it cannot be read, comes from a foreign page, is for somebody else; or we cannot answer.
const ALWAYS: [&str; 5] =
    ["malformed-request", "origin-not-allowed", "host-not-allowed", "internal", "unavailable"];
const TO_A_BODY: [&str; 3] = ["payload-too-large", "unsupported-media-type", "invalid-fields"];

/// Adds to each operation the refusals that follow from what it takes, and those that `more` names by their codes; the schema `Problem` and the answers
/// become components. An answer that an operation has already stays.
pub fn add_refusals(
    document: &mut Value,
    more: impl Fn(&str, &Map<String, Value>) -> &'static [&'static str],
) {
    let mut used = BTreeSet::new();
    each_operation(document, |_, method, operation| {
        let mut codes = follow_from(operation);
        codes.extend(more(method, operation));
        let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
        for (status, codes) in by_status(&codes) {
            if !answers.contains_key(status) {
                let reference = json!({ "$ref": format!("#/components/responses/{}", name(&codes)) });
                answers.insert(status.to_owned(), reference);
                used.insert(codes);
            }
        }
    });
    for codes in used {
        document["components"]["responses"][name(&codes)] = refusal(&codes);
    }
    document["components"]["schemas"]["Problem"] = problem();
}

/// The codes that share an answer, since they share its status.
fn by_status<'a>(codes: &[&'a str]) -> BTreeMap<&'static str, Vec<&'a str>> {
    let mut statuses: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for code in codes {
        if let Some(known) = find(code) {
            statuses.entry(known.status).or_default().push(*code);
        }
    }
    statuses
}

fn follow_from(operation: &Map<String, Value>) -> Vec<&'static str> {
    let parameters = || operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let mut codes = ALWAYS.to_vec();
    if operation.contains_key("requestBody") {
        codes.extend(TO_A_BODY);
    }
    if parameters().any(|parameter| parameter["in"] == "path") {
        codes.push("not-found");
    }
    if parameters().any(|parameter| parameter["name"] == "If-Match") {
        codes.push("stale-version");
    }
    codes
}

fn find(code: &str) -> Option<&'static ProblemCode> {
    PROBLEM_CODES.iter().find(|known| known.code == code)
}

/// `stale-version` is `StaleVersion`.
fn name(codes: &[&str]) -> String {
    let one = |code: &&str| {
        let words = code.split('-').filter_map(|word| word.split_at_checked(1));
        words.map(|(first, rest)| first.to_ascii_uppercase() + rest).collect::<String>()
    };
    codes.iter().map(one).collect::<Vec<_>>().join("Or")
}

fn refusal(codes: &[&str]) -> Value {
    let known = || codes.iter().filter_map(|code| find(code));
    let describe =
        |ProblemCode { code, title, remedy, .. }: &ProblemCode| format!("`{code}`: {title}. {remedy}");
    let examples: Map<String, Value> =
        known().map(|known| (known.code.to_owned(), json!({ "value": example(known) }))).collect();
    let mut refusal = json!({
        "description": known().map(describe).collect::<Vec<_>>().join("\n\n"),
        "content": { CONTENT_TYPE: {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "examples": examples,
        } },
    });
    if let Some(headers) = known().next().and_then(|known| headers(known.status)) {
        refusal["headers"] = headers;
    }
    refusal
}

fn example(ProblemCode { code, title, status, explanation, .. }: &ProblemCode) -> Value {
    let mut example = json!({
        "type": format!("/problems/{code}"),
        "title": title,
        "status": status.parse::<u16>().unwrap_or_default(),
        "detail": explanation,
        "code": code,
        "traceId": "0af7651916cd43dd8448eb211c80319c",
    });
    if *code == "invalid-fields" {
        example["errors"] =
            json!([{ "pointer": "#", "code": "wrong-type", "detail": "must be a JSON object" }]);
    }
    example
}

fn headers(status: &str) -> Option<Value> {
    match status {
        "415" => Some(json!({
            "Accept": {
                "description": "The media types that are read here, when it was the media type.",
                "schema": { "type": "string" },
            },
            "Accept-Encoding": {
                "description": "`identity`, when it was the content coding.",
                "schema": { "type": "string", "const": "identity" },
            },
        })),
        "503" => Some(json!({
            "Retry-After": {
                "description": "Seconds after which it is worth trying again.",
                "required": true,
                "schema": { "type": "integer", "minimum": 0 },
            },
        })),
        _ => None,
    }
}

fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let word = |description: &str, example: &str| json!({ "type": "string", "pattern": "^[a-z]+(-[a-z]+)*$", "description": description, "examples": [example] });
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "traceId"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "pattern": "^/problems/[a-z-]+$",
                "description": "A page about problems of this code.",
            },
            "title": text("What people read first, the same for every problem of the code."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the answer." },
            "detail": text("What is wrong this time."),
            "code": word("What programs compare. `/problems` lists all codes.", "invalid-fields"),
            "traceId": {
                "type": "string",
                "pattern": "^[0-9a-f]{32}$",
                "description": "The trace of the request, by which its lines are found in the logs.",
            },
            "errors": {
                "type": "array",
                "description": "Every fault that was found in the body.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": {
                            "type": "string",
                            "pattern": "^#(/.*)?$",
                            "description": "Where: a JSON pointer as URI fragment; `#` is the whole body.",
                            "examples": ["#/firstName"],
                        },
                        "code": word("Which rule is broken.", "too-long"),
                        "detail": text("The same for people."),
                    },
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_gets_the_refusals_of_what_it_takes() {
        let mut document = json!({ "paths": { "/a/{id}": {
            "summary": "Not an operation.",
            "get": { "parameters": [{ "name": "id", "in": "path" }], "responses": { "503": "own" } },
            "put": { "parameters": [{ "name": "If-Match", "in": "header" }], "requestBody": {}, "responses": {} },
        } } });
        add_refusals(
            &mut document,
            |method, _| if method == "put" { &["conflict", "email-taken"] } else { &[] },
        );
        let statuses = |method: &str| {
            let answers = document["paths"]["/a/{id}"][method]["responses"].as_object().unwrap();
            answers.keys().map(|status| status.parse().unwrap()).collect::<Vec<u16>>()
        };
        assert_eq!(statuses("get"), [400, 403, 404, 421, 500, 503]);
        assert_eq!(statuses("put"), [400, 403, 409, 412, 413, 415, 421, 422, 500, 503]);
        assert_eq!(document["paths"]["/a/{id}"]["get"]["responses"]["503"], "own");
        let answers = &document["components"]["responses"];
        let examples = |name: &str| answers[name]["content"][CONTENT_TYPE]["examples"].clone();
        assert_eq!(examples("StaleVersion")["stale-version"]["value"]["status"], 412);
        assert_eq!(examples("ConflictOrEmailTaken").as_object().map(Map::len), Some(2));
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }

    #[test]
    fn every_code_that_follows_from_an_operation_is_known_with_its_status() {
        for code in ALWAYS.iter().chain(&TO_A_BODY).chain(&["not-found", "stale-version"]) {
            assert!(find(code).is_some_and(|known| known.status.parse::<u16>().is_ok()), "{code}");
        }
    }
}
