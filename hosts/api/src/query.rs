//! The query of a request, read strictly.
//!
//! poem reads a query leniently: what is no UTF-8 becomes a replacement character, and of several values it takes the first. A client that sends
//! such a thing means something else than what it would get.

use tbx_service::problem::Problem;

use crate::problems;

/// A query that could be read.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pairs: Vec<Pair<'a>>,
}

#[derive(Debug)]
struct Pair<'a> {
    raw: &'a str,
    name: String,
    value: String,
}

impl<'a> Query<'a> {
    /// Reads a query in which each of the `known` names may stand once. What nobody knows may stand there too.
    pub(crate) fn read(raw: &'a str, known: &[&str]) -> Result<Self, Problem> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).map(Pair::read);
        let pairs = pairs.collect::<Option<Vec<_>>>().ok_or_else(problems::unreadable_query)?;
        for name in known {
            if pairs.iter().filter(|pair| pair.name == *name).count() > 1 {
                return Err(problems::malformed(name, "may stand in the query once"));
            }
        }
        Ok(Self { pairs })
    }

    /// The value of a name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|pair| pair.name == name).map(|pair| pair.value.as_str())
    }

    /// The query as it was written, without a name.
    pub(crate) fn without(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |pair| pair.name != name).map(|pair| pair.raw)
    }
}

impl<'a> Pair<'a> {
    fn read(raw: &'a str) -> Option<Self> {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        Some(Self { raw, name: decode(name)?, value: decode(value)? })
    }
}

/// A component of `application/x-www-form-urlencoded`; `None` when an escape is no escape, or the text no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => 16 * hex(rest.next()?)? + hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(raw: &str) -> Option<String> {
        Query::read(raw, &["a"]).ok()?.value("a").map(str::to_owned)
    }

    #[test]
    fn values_are_decoded_and_unknown_names_may_stand_there() {
        assert_eq!(value("x=1&a=b%20c+d&&y").as_deref(), Some("b c d"));
        assert_eq!(value("%61=%C3%A9&x=1&x=2").as_deref(), Some("é"));
        assert_eq!(value("a").as_deref(), Some(""));
        assert_eq!(Query::read("", &["a"]).unwrap().value("a"), None);
    }

    #[test]
    fn what_cannot_be_decoded_or_is_said_twice_is_refused() {
        for raw in ["a=%ff", "a=%", "a=%2", "a=%zz", "%ff=1", "x=%c3", "a=1&a=1", "a=1&%61=2", "a=1&a"] {
            assert!(Query::read(raw, &["a"]).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_name_is_left_out_however_it_is_spelled() {
        let query = Query::read("a=1&b=%41&%61b=2", &[]).unwrap();
        assert_eq!(query.without("a").collect::<Vec<_>>(), ["b=%41", "%61b=2"]);
        let query = Query::read("%61=1&b=", &[]).unwrap();
        assert_eq!(query.without("a").collect::<Vec<_>>(), ["b="]);
    }
}
