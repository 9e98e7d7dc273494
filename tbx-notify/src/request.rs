//! What a client asks for in its query.

use std::borrow::Cow;

use http::request::Parts;

use crate::TopicSet;
use crate::access::{Denied, Door, Grant};
use crate::hub::{Fallback, Start};
use crate::rejection::Rejection;

/// A query, read.
#[derive(Debug, Default)]
pub(crate) struct Query<'a> {
    /// Every `topics`, joined by commas.
    topics: Option<String>,
    position: Option<String>,
    otherwise: Fallback,
    /// Parameters of one transport alone.
    pub(crate) others: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads `topics`, `from` and the position, which each transport calls by its own name. What nobody knows belongs to whoever stands in front of
    /// us, such as `access_token`.
    pub(crate) fn read(parts: &'a Parts, position: &str) -> Result<Self, Rejection> {
        let mut read = Self::default();
        check_encoding(parts.uri.query().unwrap_or_default())?;
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "topics" => match &mut read.topics {
                    None => read.topics = Some(value.into_owned()),
                    Some(topics) => {
                        topics.push(',');
                        topics.push_str(&value);
                    }
                },
                "from" => {
                    read.otherwise = match &*value {
                        "oldest" => Fallback::Oldest,
                        "head" => Fallback::Head,
                        _ => return Err(Rejection::query("`from` is `oldest` or `head`")),
                    }
                }
                name if name == position => read.position = Some(value.into_owned()),
                _ => read.others.push((name, value)),
            }
        }
        Ok(read)
    }

    /// Takes a position that did not come with the query.
    #[cfg(feature = "sse")]
    pub(crate) fn set_position(&mut self, position: String) {
        self.position = Some(position);
    }

    /// The topics asked for, and `None` when the query does not say.
    pub(crate) fn topics(&self) -> Option<&str> {
        self.topics.as_deref()
    }

    /// The same where an empty text says nothing, as forms send it.
    #[cfg(any(feature = "sse", feature = "poll"))]
    pub(crate) fn some_topics(&self) -> Option<&str> {
        self.topics().filter(|topics| !topics.trim().is_empty())
    }

    /// Where to begin.
    pub(crate) fn start(&self) -> Start {
        match &self.position {
            Some(position) if !position.is_empty() => {
                Start::After { position: position.clone(), otherwise: self.otherwise }
            }
            _ if self.otherwise == Fallback::Oldest => Start::Oldest,
            _ => Start::Head,
        }
    }
}

/// Admits a client and finds the topics that it gets: those of the service, those it asks for, or all it may see.
pub(crate) fn admit(
    door: &Door,
    parts: &Parts,
    fixed: Option<&TopicSet>,
    asked: Option<&str>,
) -> Result<(Grant, TopicSet), Refused> {
    let grant = door.admit(parts)?;
    let topics = match (fixed, asked) {
        (Some(fixed), _) => fixed.clone(),
        (None, Some(asked)) => TopicSet::parse(asked)?,
        (None, None) => grant.default_topics(),
    };
    grant.check(&topics)?;
    Ok((grant, topics))
}

/// The decoder is lenient; what it would guess is refused instead.
fn check_encoding(query: &str) -> Result<(), Rejection> {
    let mut decoded = Vec::with_capacity(query.len());
    let mut bytes = query.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(Rejection::query(
                        "the query holds a `%` that two hexadecimal digits must follow",
                    ));
                };
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    std::str::from_utf8(&decoded).map(|_| ()).map_err(|_| Rejection::query("the query is not UTF-8"))
}

impl Grant {
    /// What a client sees that does not say what it wants.
    fn default_topics(&self) -> TopicSet {
        self.granted().cloned().unwrap_or_else(TopicSet::everything)
    }

    /// The topics, when all of them are allowed.
    fn check(&self, topics: &TopicSet) -> Result<(), Denied> {
        match topics.patterns().iter().find(|pattern| !self.covers(pattern)) {
            None => Ok(()),
            Some(pattern) => {
                Err(Denied::Forbidden(format!("the topics of `{pattern}` are not allowed to this client")))
            }
        }
    }
}

/// Why a client gets nothing.
pub(crate) enum Refused {
    Denied(Denied),
    Topics(crate::InvalidTopicSet),
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<crate::InvalidTopicSet> for Refused {
    fn from(error: crate::InvalidTopicSet) -> Self {
        Self::Topics(error)
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(denied) => Self::denied(&denied),
            Refused::Topics(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                Self::query(format!("{error}{}", cause.unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Result<(Option<String>, Start), Rejection> {
        let parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
        let query = Query::read(&parts, "after")?;
        Ok((query.topics().map(str::to_owned), query.start()))
    }

    #[test]
    fn topics_are_separated_by_commas_or_repeated() {
        let topics = |uri| read(uri).unwrap().0;
        assert_eq!(topics("/?topics=a.*,b&topics=c.%23&access_token=secret").unwrap(), "a.*,b,c.#");
        assert_eq!(topics("/?topics="), Some(String::new()));
        assert_eq!(topics("/"), None);
    }

    #[test]
    fn a_position_tells_where_to_begin() {
        let start = |uri| read(uri).unwrap().1;
        let after = |position: &str, otherwise| Start::After { position: position.to_owned(), otherwise };
        assert_eq!(start("/?after=a-1"), after("a-1", Fallback::Head));
        assert_eq!(start("/?after=a-1&from=oldest"), after("a-1", Fallback::Oldest));
        assert_eq!(start("/?from=oldest"), Start::Oldest);
        assert_eq!(start("/?after="), Start::Head);
        assert!(read("/?from=yesterday").is_err());
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for uri in ["/?topics=%", "/?topics=%2", "/?topics=%zz", "/?topics=%ff", "/?other=%c3%28"] {
            assert!(read(uri).is_err(), "{uri}");
        }
        assert_eq!(read("/?topics=%c3%a9").unwrap().0.as_deref(), Some("é"));
    }
}
