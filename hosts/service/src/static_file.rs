//! A file that is part of the program.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Endpoint, Request, Response};

/// An endpoint that answers with the same bytes as long as the program runs. Clients ask each time whether theirs are still the ones
/// (`Cache-Control: no-cache` with an `ETag`): after an update the old ones would not fit the program.
#[derive(Debug, Clone)]
pub struct StaticFile {
    content_type: &'static str,
    content: Bytes,
    tag: HeaderValue,
}

impl StaticFile {
    /// A file with that media type.
    #[must_use]
    pub fn new(content_type: &'static str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let tag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()));
        // Hexadecimal digits between quotes are a header; the empty one would match nothing.
        let tag = tag.unwrap_or_else(|_| HeaderValue::from_static(""));
        Self { content_type, content, tag }
    }

    fn is_known_to(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
        let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes())
    }
}

impl Endpoint for StaticFile {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let response = Response::builder()
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
            .header(header::ETAG, self.tag.clone());
        if self.is_known_to(request.headers()) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        Ok(response.content_type(self.content_type).body(self.content.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(file: &StaticFile, tag: Option<&str>) -> Response {
        let request = Request::builder();
        let request = match tag {
            Some(tag) => request.header(header::IF_NONE_MATCH, tag),
            None => request,
        };
        file.get_response(request.finish()).await
    }

    #[tokio::test]
    async fn a_file_that_the_client_has_is_not_sent_again() {
        let (file, other) = (StaticFile::new("text/css", "a{}"), StaticFile::new("text/css", "b{}"));
        let answer = asked(&file, None).await;
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.content_type(), Some("text/css"));
        let tag = answer.header("etag").unwrap().to_owned();
        for same in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert_eq!(asked(&file, Some(&same)).await.status(), StatusCode::NOT_MODIFIED, "{same}");
        }
        for (file, tag) in [(&other, tag.as_str()), (&file, "\"x\""), (&file, "")] {
            assert_eq!(asked(file, Some(tag)).await.status(), StatusCode::OK, "{tag}");
        }
    }
}
