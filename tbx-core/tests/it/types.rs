//! What the types promise.

use tbx_core::{
    CreateStudentHandler, DeleteStudentHandler, GetStudentHandler, ListStudentsHandler,
    ProcessStudentEventHandler, StoreError, Student, StudentEvent, UpdateStudentHandler, UseCaseError,
};

#[test]
fn handlers_fit_where_services_run() {
    fn fits<T: Clone + Send + Sync + 'static>() {}
    fits::<CreateStudentHandler>();
    fits::<UpdateStudentHandler>();
    fits::<DeleteStudentHandler>();
    fits::<GetStudentHandler>();
    fits::<ListStudentsHandler>();
    fits::<ProcessStudentEventHandler>();
    fits::<Student>();
    fits::<StudentEvent>();
}

#[test]
fn errors_can_be_boxed_and_tell_their_cause() {
    fn boxed(
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Box<dyn std::error::Error + Send + Sync> {
        Box::new(error)
    }
    let error = boxed(UseCaseError::from(StoreError::unavailable("connection refused")));
    let mut chain = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push(error.to_string());
        cause = error.source();
    }
    assert_eq!(
        chain,
        ["student could not be read or written", "student store is unavailable", "connection refused"]
    );
}
