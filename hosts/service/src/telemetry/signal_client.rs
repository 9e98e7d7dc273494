//! The HTTP client of the SDK's exporters, one for each signal.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::{Builder, Runtime};

use super::sender::Sender;
use super::settings::Signal;
use super::standing::{Standing, outcome};

/// Sends for one exporter, and tells how it went.
#[derive(Debug)]
pub(super) struct SignalClient {
    pub(super) signal: Signal,
    pub(super) sender: Arc<Sender>,
    pub(super) runtime: Arc<OwnRuntime>,
    pub(super) standing: Arc<Standing>,
}

#[async_trait]
impl HttpClient for SignalClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The SDK's batches are sent from threads of their own, outside of any runtime.
        let answer = self.runtime.block_on(self.sender.send(request));
        self.standing.note(self.signal, outcome(&answer));
        answer
    }
}

/// A runtime without threads, driven by those who send: exporting shares nothing with what is exported, and waits for none of it.
#[derive(Debug)]
pub(super) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(super) fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Some).map(Self)
    }

    fn block_on<T>(&self, future: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => Err("exporting has ended".into()),
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // It may be dropped inside of the main runtime, where its own drop would panic.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
