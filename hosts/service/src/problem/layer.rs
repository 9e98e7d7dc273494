//! The layer outside of all routes that lets no other error out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, Uri, header};
use poem::middleware::{CatchPanic, CatchPanicEndpoint};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};

use super::Problem;
use super::convert::{complete, from_error};

type AllowTable = Arc<dyn Fn(&str) -> Option<&'static str> + Send + Sync>;
type OnPanic = fn(Box<dyn Any + Send>) -> Response;

/// poem middleware that turns every error into a [`Problem`]: unknown addresses, wrong methods, requests that
/// cannot be read, panics (500, and the server goes on), and 4xx or 5xx answers without a document.
///
/// Belongs directly inside [`RequestTrace`](super::RequestTrace).
#[derive(Clone, Default)]
pub struct Problems {
    allow: Option<AllowTable>,
}

impl Problems {
    /// Without knowledge of the methods of the routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the methods of a path, as `Allow` of a 405. poem's router does not tell them.
    #[must_use]
    pub fn with_allow(
        mut self,
        table: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        self.allow = Some(Arc::new(table));
        self
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problems").field("allow", &self.allow.is_some()).finish()
    }
}

impl<E: Endpoint> Middleware<E> for Problems {
    type Output = ProblemsEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        let catch = CatchPanic::new().with_handler(on_panic as OnPanic);
        ProblemsEndpoint { inner: catch.transform(inner), allow: self.allow.clone() }
    }
}

/// Endpoint of [`Problems`].
pub struct ProblemsEndpoint<E> {
    inner: CatchPanicEndpoint<E, OnPanic>,
    allow: Option<AllowTable>,
}

impl<E> fmt::Debug for ProblemsEndpoint<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProblemsEndpoint").finish_non_exhaustive()
    }
}

impl<E> ProblemsEndpoint<E> {
    fn allow(&self, uri: &Uri, response: &mut Response) {
        if response.status() != StatusCode::METHOD_NOT_ALLOWED {
            return;
        }
        if let Some(methods) = self.allow.as_ref().and_then(|table| table(uri.path())) {
            response.headers_mut().entry(header::ALLOW).or_insert(HeaderValue::from_static(methods));
        }
    }
}

impl<E: Endpoint> Endpoint for ProblemsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let uri = request.uri().clone();
        let mut response = match self.inner.call(request).await {
            Ok(response) => complete(response).await,
            Err(error) if error.is_from_response() => complete(error.into_response()).await,
            Err(error) => from_error(error).into_response(),
        };
        self.allow(&uri, &mut response);
        Ok(response)
    }
}

fn on_panic(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = panic_text(&*panic), "request handler panicked");
    Problem::from_status(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// The words of a panic, when it has some.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
