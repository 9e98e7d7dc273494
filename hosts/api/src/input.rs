//! Reading what a client sent, with every fault at once.

use serde_json::{Map, Value};
use tbx_core::published::field_name;
use tbx_core::{CreateStudent, InvalidStudent, Rule, StudentChange, StudentField, StudentInput};
use tbx_service::problem::{FieldFault, Problem};

use crate::problems;

/// Which fields must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Required {
    All,
    None,
}

/// The body of a POST.
pub(crate) fn create(body: &Value) -> Result<CreateStudent, Problem> {
    Fields::read(body, Required::All)?.check(StudentInput::create)
}

/// The body of a PUT: every value.
pub(crate) fn replace(body: &Value) -> Result<StudentChange, Problem> {
    Fields::read(body, Required::All)?.check(StudentInput::replace)
}

/// The body of a PATCH (JSON merge patch, RFC 7396): the values to change.
pub(crate) fn change(body: &Value) -> Result<StudentChange, Problem> {
    Fields::read(body, Required::None)?.check(StudentInput::change)
}

/// The known fields of a body, and the faults of those that are no text.
struct Fields<'a> {
    input: StudentInput<'a>,
    faults: Vec<(StudentField, FieldFault)>,
}

impl<'a> Fields<'a> {
    fn read(body: &'a Value, required: Required) -> Result<Self, Problem> {
        let Value::Object(object) = body else {
            let fault = fault("#", "wrong-type", "must be a JSON object");
            return Err(problems::invalid_fields(vec![fault]));
        };
        let mut faults = Vec::new();
        let mut text = |field| text(object, field, required, &mut faults);
        let input = StudentInput {
            first_name: text(StudentField::FirstName),
            last_name: text(StudentField::LastName),
            email: text(StudentField::Email),
        };
        Ok(Self { input, faults })
    }

    /// Lets the domain check the values and adds its faults to those found here.
    fn check<T>(
        self,
        check: impl FnOnce(&StudentInput<'a>) -> Result<T, InvalidStudent>,
    ) -> Result<T, Problem> {
        let mut faults = self.faults;
        let checked = check(&self.input);
        if let Err(invalid) = &checked {
            for found in &invalid.faults {
                // A field of the wrong type looks absent to the domain; it has its fault already.
                let known = faults.iter().any(|(field, _)| *field == found.field);
                if !(known && found.rule == Rule::Missing) {
                    let pointer = format!("#/{}", field_name(found.field));
                    faults.push((found.field, fault(&pointer, found.rule.code(), &found.rule.to_string())));
                }
            }
        }
        match checked {
            Ok(value) if faults.is_empty() => Ok(value),
            _ => {
                // In the order of the fields, whoever found them.
                faults.sort_by_key(|(field, _)| *field as u8);
                Err(problems::invalid_fields(faults.into_iter().map(|(_, fault)| fault).collect()))
            }
        }
    }
}

fn text<'a>(
    object: &'a Map<String, Value>,
    field: StudentField,
    required: Required,
    faults: &mut Vec<(StudentField, FieldFault)>,
) -> Option<&'a str> {
    let name = field_name(field);
    let pointer = format!("#/{name}");
    match object.get(name) {
        Some(Value::String(text)) => return Some(text),
        None => {}
        // In a merge patch null removes a value, which no student can do without.
        Some(Value::Null) if required == Required::None => {
            faults.push((field, fault(&pointer, "missing", "cannot be removed")));
        }
        Some(_) => faults.push((field, fault(&pointer, "wrong-type", "must be a string"))),
    }
    None
}

fn fault(pointer: &str, code: &str, detail: &str) -> FieldFault {
    FieldFault { pointer: pointer.to_owned(), code: code.to_owned(), detail: detail.to_owned() }
}
