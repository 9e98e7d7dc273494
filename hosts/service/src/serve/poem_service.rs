//! A poem endpoint as service of the loop.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use poem::endpoint::{DynEndpoint, ToDynEndpoint};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, EndpointExt, IntoEndpoint, RequestParts};
use tower_service::Service;

use super::PeerAddr;
use super::body_idle::{BODY_IDLE_TIMEOUT, BodyIdle};
use super::extensions::OwnAddr;

/// What poem answers with. Frames pass one by one: a stream is not gathered.
pub type ResponseBody = BoxBody<Bytes, io::Error>;

/// Makes a service of a poem endpoint. Clones share the endpoint.
///
/// The endpoint finds the socket's addresses in poem's `RemoteAddr` and `LocalAddr`, and
/// [`UpgradeHandle`](super::UpgradeHandle) among the request's data. A body of which nothing comes for 30 s is
/// an error to its reader.
pub fn poem_service<E>(endpoint: E) -> PoemService
where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    PoemService { endpoint: Arc::new(ToDynEndpoint(endpoint.map_to_response())) }
}

/// See [`poem_service`].
#[derive(Clone)]
pub struct PoemService {
    endpoint: Arc<dyn DynEndpoint<Output = poem::Response>>,
}

impl fmt::Debug for PoemService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoemService").finish_non_exhaustive()
    }
}

impl Service<Request<Incoming>> for PoemService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let endpoint = Arc::clone(&self.endpoint);
        let request = to_poem(request);
        Box::pin(async move { Ok(endpoint.get_response(request).await.into()) })
    }
}

fn to_poem(request: Request<Incoming>) -> poem::Request {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<PeerAddr>().map_or_else(Addr::default, |peer| peer.0.into());
    let own = parts.extensions.get::<OwnAddr>().map_or_else(Addr::default, |own| own.0.into());
    let parts = RequestParts::from((parts, LocalAddr(own), RemoteAddr(peer), Scheme::HTTP));
    let body = BodyIdle::new(body.map_err(io::Error::other), BODY_IDLE_TIMEOUT).boxed();
    poem::Request::from_parts(parts, body.into())
}
