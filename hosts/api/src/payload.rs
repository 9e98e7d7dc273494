//! JSON in and out, with the schema of one type and the value of another.
//!
//! What comes in is read loosely, so that every fault can be told at once; what goes out is written by serde, as clients of the
//! notifications see it too.

use std::marker::PhantomData;

use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use serde_json::Value;

use crate::media_type::require_json;
use crate::problems;

/// A body that was read as JSON and nothing more; documented as `S`.
pub(crate) struct JsonInput<S> {
    pub(crate) value: Value,
    schema: PhantomData<fn() -> S>,
}

impl<S: Type> Payload for JsonInput<S> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        S::schema_ref()
    }

    fn register(registry: &mut Registry) {
        S::register(registry);
    }
}

impl<S: Type> ParsePayload for JsonInput<S> {
    const IS_REQUIRED: bool = true;

    async fn from_request(_: &Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = body.take()?.into_bytes().await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| problems::unreadable_json(&error))?;
        Ok(Self { value, schema: PhantomData })
    }
}

impl<'a, S: Type> ApiExtractor<'a> for JsonInput<S> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        require_json(request)?;
        <Self as ParsePayload>::from_request(request, body).await
    }
}

/// A value written by serde; documented as `S`.
pub(crate) struct JsonOutput<V, S> {
    value: V,
    schema: PhantomData<fn() -> S>,
}

impl<V, S> JsonOutput<V, S> {
    pub(crate) fn new(value: V) -> Self {
        Self { value, schema: PhantomData }
    }
}

impl<V: Serialize + Send, S: Type> Payload for JsonOutput<V, S> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        S::schema_ref()
    }

    fn register(registry: &mut Registry) {
        S::register(registry);
    }
}

impl<V: Serialize + Send, S: Type> IntoResponse for JsonOutput<V, S> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.value) {
            Ok(bytes) => Response::builder().content_type("application/json").body(bytes),
            Err(error) => problems::internal(&error).into_response(),
        }
    }
}
