//! A student as it is handed in, before it is believed.

use super::CreateStudent;
use crate::student::{Email, Fault, InvalidStudent, PersonName, Rule, StudentChange, StudentField};

/// What somebody filled in. Reading it finds every fault at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StudentInput<'a> {
    /// The first name, when given.
    pub first_name: Option<&'a str>,
    /// The last name, when given.
    pub last_name: Option<&'a str>,
    /// The email address, when given.
    pub email: Option<&'a str>,
}

impl StudentInput<'_> {
    /// Reads a new student; everything must be given.
    ///
    /// # Errors
    ///
    /// [`InvalidStudent`] with every fault, in the order of the fields.
    pub fn create(&self) -> Result<CreateStudent, InvalidStudent> {
        let mut faults = self.missing();
        let StudentChange { first_name, last_name, email } = self.read(&mut faults);
        match (first_name, last_name, email) {
            (Some(first_name), Some(last_name), Some(email)) => {
                Ok(CreateStudent { first_name, last_name, email })
            }
            _ => Err(invalid(faults)),
        }
    }

    /// Reads what a student is to become as a whole; everything must be given.
    ///
    /// # Errors
    ///
    /// [`InvalidStudent`] with every fault, in the order of the fields.
    pub fn replace(&self) -> Result<StudentChange, InvalidStudent> {
        let CreateStudent { first_name, last_name, email } = self.create()?;
        Ok(StudentChange { first_name: Some(first_name), last_name: Some(last_name), email: Some(email) })
    }

    /// Reads what is to change of a student; what is not given stays as it is.
    ///
    /// # Errors
    ///
    /// [`InvalidStudent`] with every fault, in the order of the fields.
    pub fn change(&self) -> Result<StudentChange, InvalidStudent> {
        let mut faults = Vec::new();
        let change = self.read(&mut faults);
        if faults.is_empty() { Ok(change) } else { Err(invalid(faults)) }
    }

    fn missing(&self) -> Vec<Fault> {
        let Self { first_name, last_name, email } = self;
        [
            (StudentField::FirstName, first_name),
            (StudentField::LastName, last_name),
            (StudentField::Email, email),
        ]
        .into_iter()
        .filter(|(_, text)| text.is_none())
        .map(|(field, _)| Fault { field, rule: Rule::Missing })
        .collect()
    }

    fn read(&self, faults: &mut Vec<Fault>) -> StudentChange {
        let name = |text| PersonName::parse(text).map_err(Rule::Name);
        let email = |text| Email::parse(text).map_err(Rule::Email);
        StudentChange {
            first_name: read(StudentField::FirstName, self.first_name, name, faults),
            last_name: read(StudentField::LastName, self.last_name, name, faults),
            email: read(StudentField::Email, self.email, email, faults),
        }
    }
}

fn read<'a, T>(
    field: StudentField,
    text: Option<&'a str>,
    parse: impl Fn(&'a str) -> Result<T, Rule>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    match parse(text?) {
        Ok(value) => Some(value),
        Err(rule) => {
            faults.push(Fault { field, rule });
            None
        }
    }
}

fn invalid(mut faults: Vec<Fault>) -> InvalidStudent {
    faults.sort_by_key(|fault| fault.field);
    InvalidStudent::new(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::student::{EmailError, NameError};

    fn codes(error: &InvalidStudent) -> Vec<(StudentField, &'static str)> {
        error.faults.iter().map(|fault| (fault.field, fault.rule.code())).collect()
    }

    #[test]
    fn every_fault_is_told_at_once_in_the_order_of_the_fields() {
        let input = StudentInput { first_name: Some(" "), last_name: None, email: Some("nobody") };
        let error = input.create().unwrap_err();
        assert_eq!(
            codes(&error),
            [
                (StudentField::FirstName, "empty"),
                (StudentField::LastName, "missing"),
                (StudentField::Email, "malformed"),
            ]
        );
        assert_eq!(input.replace().unwrap_err(), error);
        assert_eq!(error.faults[0].to_string(), "first name is empty");
        assert_eq!(error.to_string(), "student breaks 3 rule(s)");
    }

    #[test]
    fn a_change_needs_nothing_but_what_is_given_must_be_right() {
        assert_eq!(StudentInput::default().change(), Ok(StudentChange::default()));

        let long = "a".repeat(101);
        let wrong = StudentInput { last_name: Some(&long), email: Some(""), ..StudentInput::default() };
        assert_eq!(
            wrong.change().unwrap_err().faults,
            [
                Fault { field: StudentField::LastName, rule: Rule::Name(NameError::TooLong) },
                Fault { field: StudentField::Email, rule: Rule::Email(EmailError::Empty) },
            ]
        );
    }

    #[test]
    fn a_whole_student_is_read_trimmed() {
        let input = StudentInput {
            first_name: Some(" Ada "),
            last_name: Some("Lovelace"),
            email: Some("ada@example.org\n"),
        };
        let command = input.create().unwrap();
        assert_eq!((command.first_name.as_str(), command.email.as_str()), ("Ada", "ada@example.org"));
        assert_eq!(input.replace(), input.change());
    }
}
