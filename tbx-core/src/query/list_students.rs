//! Listing students.

use std::sync::Arc;
use std::task;

use tower_service::Service;

use crate::context::Context;
use crate::page::{Cursor, Page, PageLimit, SearchPrefix, Sort};
use crate::store::Students;
use crate::student::Student;
use crate::use_case::{Request, UseCaseError, UseCaseFuture};

/// The wish to list students.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListStudents {
    /// How many at most.
    pub limit: PageLimit,
    /// In which order.
    pub sort: Sort,
    /// Only those it finds; all when absent.
    pub search: Option<SearchPrefix>,
    /// Where to go on, decoded for this order and search; from the start when absent.
    pub cursor: Option<Cursor>,
}

impl ListStudents {
    /// The page of the students a store has read for this list, which asks for one more than the limit: the one too
    /// many tells that there is a next page.
    pub fn page_of(&self, mut students: Vec<Student>) -> Page<Student> {
        let limit = self.limit.get() as usize;
        if students.len() <= limit {
            return Page { items: students, next: None };
        }
        students.truncate(limit);
        let next = students.last().map(|last| Cursor::after(last, self.sort, self.search.as_ref()));
        Page { items: students, next }
    }
}

/// Lists students from the store. A clone shares it.
#[derive(Debug, Clone)]
pub struct ListStudentsHandler {
    students: Arc<dyn Students>,
}

impl ListStudentsHandler {
    /// A handler on that store.
    pub fn new(students: Arc<dyn Students>) -> Self {
        Self { students }
    }

    /// Reads one page.
    ///
    /// # Errors
    ///
    /// [`UseCaseError::Store`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn execute(&self, _: &Context, message: ListStudents) -> Result<Page<Student>, UseCaseError> {
        Ok(self.students.list(&message).await?)
    }
}

impl Service<Request<ListStudents>> for ListStudentsHandler {
    type Response = Page<Student>;
    type Error = UseCaseError;
    type Future = UseCaseFuture<Page<Student>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ListStudents>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { handler.execute(&request.context, request.message).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ctx, with_ada};

    #[tokio::test]
    async fn a_page_names_the_next_one_only_when_there_is_one() {
        let (students, ada) = with_ada().await;
        let mut handler = ListStudentsHandler::new(Arc::new(students));
        let page = handler.call(Request::new(ctx(), ListStudents::default())).await.unwrap();
        assert_eq!(page, Page { items: vec![ada.clone()], next: None });

        let list = ListStudents { limit: PageLimit::new(1).unwrap(), ..ListStudents::default() };
        let page = list.page_of(vec![ada.clone(), ada.clone()]);
        assert_eq!(page.next, Some(Cursor::after(&ada, list.sort, None)));
        assert_eq!(page.items, [ada]);
    }
}
