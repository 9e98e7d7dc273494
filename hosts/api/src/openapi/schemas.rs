//! The shapes of what is sent and answered.

use serde_json::{Map, Value, json};
use tbx_core::{Email, PersonName};

/// Neither white space nor a control character.
const EDGE: &str = r"[^\s\u0000-\u001f\u007f-\u009f]";
const ANY: &str = r"[^\u0000-\u001f\u007f-\u009f]";
/// What says only how others are shown, as far as a pattern without flags can write it.
const IGNORABLE: &str = r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb";

/// The parts of an address before and after its `@`.
const ATOM: &str = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}";
const LABEL: &str = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";

/// Says in 3.1 what the generated schemas say in 3.0, and adds lengths, patterns and examples.
pub(super) fn complete(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().into_iter().flatten();
    for (_, schema) in schemas {
        allow_null(schema);
        name_integers(schema);
    }
    let schemas = &mut document["components"]["schemas"];
    schemas["Name"] = name();
    schemas["EmailAddress"] = email();
    for shape in ["Student", "StudentInput", "StudentPatch"] {
        refine(&mut schemas[shape]);
    }
    schemas["Student"]["example"] = student();
    schemas["StudentInput"]["example"] = input();
    schemas["StudentPatch"]["example"] = json!({ "lastName": "King" });
    schemas["StudentPage"]["example"] =
        json!({ "items": [student()], "next": "0b5c3f0c94a35d4b8f9e2f6a7f4d1c22.1." });
    for (_, schema) in schemas.as_object_mut().into_iter().flatten() {
        move_example(schema);
    }
}

/// A value that may be null is there nevertheless, in what we write.
fn allow_null(schema: &mut Value) {
    let mut always = Vec::new();
    for (name, property) in members(schema, "properties") {
        let Some(property) = property.as_object_mut() else { continue };
        if property.remove("nullable").is_some() {
            let known = property.remove("type").unwrap_or_default();
            property.insert("type".to_owned(), json!([known, "null"]));
            always.push(Value::from(name.as_str()));
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.extend(always);
    }
}

/// Versions and numbers start at 1, what is counted at 0.
fn name_integers(schema: &mut Value) {
    for (name, property) in members(schema, "properties") {
        if property["format"] == "uint64" {
            property["format"] = json!("int64");
            property["minimum"] = json!(u8::from(name != "updates"));
        }
    }
}

/// Names and addresses are what the domain takes, in what is sent and in what is answered.
fn refine(schema: &mut Value) {
    for (name, property) in members(schema, "properties") {
        let shared = match name.as_str() {
            "firstName" | "lastName" => "Name",
            "email" => "EmailAddress",
            _ => continue,
        };
        let description = property["description"].take();
        *property = json!({ "$ref": format!("#/components/schemas/{shared}"), "description": description });
    }
}

fn name() -> Value {
    let visible = EDGE.replace(r"\s", &format!(r"\s{IGNORABLE}"));
    json!({
        "type": "string",
        "description": "A name without white space around it, which is cut off; at least one character must be visible.",
        "minLength": 1,
        "maxLength": PersonName::MAX_CHARS,
        "pattern": format!("^([{IGNORABLE}]{ANY}*)?{visible}({ANY}*{EDGE})?$"),
        "examples": ["Ada"],
    })
}

fn email() -> Value {
    json!({
        "type": "string",
        "format": "email",
        "description": "An email address in ASCII, without white space around it, which is cut off. Two addresses are the same when they differ in upper and lower case only.",
        "maxLength": Email::MAX_BYTES,
        "pattern": format!("^{ATOM}([.]{ATOM})*@{LABEL}([.]{LABEL})+$"),
        "examples": ["ada@example.org"],
    })
}

fn input() -> Value {
    json!({ "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.org" })
}

fn student() -> Value {
    json!({
        "id": "019b4e1a-7c1e-7a3b-8f00-0123456789ab",
        "number": 1,
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@example.org",
        "version": 1,
        "updates": 1,
        "created": "2026-01-31T12:00:00.000Z",
        "createdBy": null,
        "lastModified": "2026-01-31T12:00:00.000Z",
        "lastModifiedBy": null,
    })
}

/// JSON Schema knows examples in the plural only.
fn move_example(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(example) = schema.remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
}

fn members<'a>(schema: &'a mut Value, name: &str) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    schema.get_mut(name).and_then(Value::as_object_mut).into_iter().flat_map(Map::iter_mut)
}

#[cfg(test)]
mod tests {
    use tbx_core::published::StudentBody;

    use super::super::document;
    use super::*;

    #[test]
    fn a_student_has_every_member_that_serde_writes_and_no_other() {
        let body: StudentBody = serde_json::from_value(student()).unwrap();
        assert_eq!(serde_json::to_value(&body).unwrap(), student(), "the example is one");
        let schema = &document()["components"]["schemas"]["Student"];
        let mut required: Vec<&str> =
            schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        required.sort_unstable();
        let described: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(described, student().as_object().unwrap().keys().collect::<Vec<_>>());
        assert_eq!(required, described);
        for name in ["createdBy", "lastModifiedBy"] {
            assert_eq!(schema["properties"][name]["type"], json!(["string", "null"]));
        }
    }
}
