//! What poem-openapi says about the operations.

use std::sync::Arc;

use poem_openapi::OpenApiService;
use serde_json::Value;
use tbx_core::memory::{MemoryStudentCache, MemoryStudents};
use tbx_core::{
    CreateStudentHandler, DeleteStudentHandler, GetStudentHandler, ListStudentsHandler, SystemClock,
    UpdateStudentHandler,
};

use crate::students::StudentsApi;

/// The document as it is generated: OpenAPI 3.0, without refusals.
pub(super) fn document() -> Value {
    // It describes the operations and calls none.
    let (students, cache) = (Arc::new(MemoryStudents::default()), Arc::new(MemoryStudentCache::default()));
    let api = StudentsApi {
        create: CreateStudentHandler::new(students.clone(), cache.clone()),
        update: UpdateStudentHandler::new(students.clone(), cache.clone()),
        delete: DeleteStudentHandler::new(students.clone(), cache.clone()),
        get: GetStudentHandler::new(students.clone(), cache),
        list: ListStudentsHandler::new(students),
        clock: Arc::new(SystemClock),
    };
    let text = OpenApiService::new(api, "TBX students", env!("CARGO_PKG_VERSION")).spec();
    serde_json::from_str(&text).unwrap_or_default()
}
