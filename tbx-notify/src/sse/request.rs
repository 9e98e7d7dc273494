//! What a client asks for.

use std::fmt;

use crate::TopicSet;
use crate::hub::{From as GoOn, Start};
use crate::topics::InvalidTopicSet;

/// A request, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SseRequest {
    pub(super) topics: Option<TopicSet>,
    pub(super) start: Start,
}

impl SseRequest {
    pub(super) fn read(parts: &http::request::Parts) -> Result<Self, SseRejection> {
        if parts.method != http::Method::GET && parts.method != http::Method::HEAD {
            return Err(SseRejection {
                kind: RejectionKind::Method,
                detail: "a stream is read with GET".to_owned(),
            });
        }
        let (mut topics, mut last_event_id, mut otherwise) = (Vec::new(), None, GoOn::Head);
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "topics" => topics.push(value.into_owned()),
                "lastEventId" => last_event_id = Some(value.into_owned()),
                "from" => {
                    otherwise = match &*value {
                        "oldest" => GoOn::Oldest,
                        "head" => GoOn::Head,
                        _ => return Err(SseRejection::query("`from` is `oldest` or `head`")),
                    }
                }
                // Others belong to whoever stands in front of us, such as `access_token`.
                _ => {}
            }
        }
        if let Some(header) = parts.headers.get("last-event-id") {
            last_event_id = Some(String::from_utf8_lossy(header.as_bytes()).into_owned());
        }
        let topics = match topics.is_empty() {
            true => None,
            false => Some(TopicSet::parse(&topics.join(",")).map_err(|error| SseRejection::topics(&error))?),
        };
        let start = match last_event_id.filter(|position| !position.is_empty()) {
            Some(position) => Start::After { position, otherwise },
            None if otherwise == GoOn::Oldest => Start::Oldest,
            None => Start::Head,
        };
        Ok(Self { topics, start })
    }
}

/// A request that cannot be served. Also put into the extensions of the answer, for hosts that word their errors themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseRejection {
    kind: RejectionKind,
    detail: String,
}

/// The kinds of rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// Neither GET nor HEAD: 405.
    Method,
    /// A query parameter cannot be read: 400.
    Query,
}

impl SseRejection {
    fn query(detail: &str) -> Self {
        Self { kind: RejectionKind::Query, detail: detail.to_owned() }
    }

    fn topics(error: &InvalidTopicSet) -> Self {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self { kind: RejectionKind::Query, detail: format!("{error}{cause}") }
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// What exactly is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for SseRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for SseRejection {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, last_event_id: Option<&str>) -> Result<SseRequest, SseRejection> {
        let mut request = http::Request::get(uri);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        SseRequest::read(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn topics_are_separated_by_commas_or_repeated() {
        let request = read("/?topics=a.*,b&topics=c.%23&access_token=secret", None).unwrap();
        assert_eq!(request.topics.unwrap().to_string(), "a.*,b,c.#");
        assert_eq!(read("/", None).unwrap().topics, None);
    }

    #[test]
    fn the_header_beats_the_query() {
        let after = |position: &str| Start::After { position: position.to_owned(), otherwise: GoOn::Head };
        assert_eq!(read("/?lastEventId=a-1", Some("a-2")).unwrap().start, after("a-2"));
        assert_eq!(read("/?lastEventId=a-1", None).unwrap().start, after("a-1"));
        assert_eq!(read("/?from=oldest", None).unwrap().start, Start::Oldest);
    }

    #[test]
    fn bad_patterns_are_named() {
        assert_eq!(
            read("/?topics=a..b", None).unwrap_err().detail(),
            "`a..b` is no topic pattern: a word between the dots is empty"
        );
        assert_eq!(read("/?from=noon", None).unwrap_err().detail(), "`from` is `oldest` or `head`");
    }
}
