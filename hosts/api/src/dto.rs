//! The shapes of the API, for its document, where `openapi::schemas` says more about them. What is sent is `tbx_core::published`; a test keeps the
//! two the same.

use poem_openapi::Object;

/// What is needed to create a student or to replace its values.
#[derive(Debug, Object)]
#[oai(rename = "StudentInput", rename_all = "camelCase")]
pub(crate) struct StudentInputDto {
    /// The first name.
    pub(crate) first_name: String,
    /// The last name.
    pub(crate) last_name: String,
    /// An email address that no other student has.
    pub(crate) email: String,
}

/// The values to change; what is absent stays as it is.
#[derive(Debug, Object)]
#[oai(rename = "StudentPatch", rename_all = "camelCase")]
pub(crate) struct StudentPatchDto {
    /// The first name.
    pub(crate) first_name: Option<String>,
    /// The last name.
    pub(crate) last_name: Option<String>,
    /// An email address that no other student has.
    pub(crate) email: Option<String>,
}

/// A student.
#[derive(Debug, Object)]
#[oai(rename = "Student", rename_all = "camelCase")]
pub(crate) struct StudentDto {
    /// Its identity.
    pub(crate) id: uuid::Uuid,
    /// Its number: unique, increasing, never reused.
    pub(crate) number: u64,
    /// The first name.
    pub(crate) first_name: String,
    /// The last name.
    pub(crate) last_name: String,
    /// The email address.
    pub(crate) email: String,
    /// Grows by one with every write that changes something.
    pub(crate) version: u64,
    /// How many events of this student the worker has finished.
    pub(crate) updates: u64,
    /// When it was created.
    pub(crate) created: chrono::DateTime<chrono::Utc>,
    /// Who created it.
    #[oai(nullable)]
    pub(crate) created_by: Option<String>,
    /// When it was last changed.
    pub(crate) last_modified: chrono::DateTime<chrono::Utc>,
    /// Who last changed it.
    #[oai(nullable)]
    pub(crate) last_modified_by: Option<String>,
}

/// A page of students.
#[derive(Debug, Object)]
#[oai(rename = "StudentPage", rename_all = "camelCase")]
pub(crate) struct StudentPageDto {
    /// The students.
    pub(crate) items: Vec<StudentDto>,
    /// The cursor of the next page; null at the end.
    #[oai(nullable)]
    pub(crate) next: Option<String>,
}
