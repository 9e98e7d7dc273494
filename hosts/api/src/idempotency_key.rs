//! The header `Idempotency-Key`: the name that a client gives to a request, so that it can repeat it.

use poem::http::HeaderMap;
use tbx_core::RequestKey;
use tbx_service::problem::Problem;

use crate::problems;

const NAME: &str = "Idempotency-Key";

/// What a key may look like, for the document: text in quotes as in RFC 9651, or as it is.
pub(crate) const PATTERN: &str = r##"^("[ !#-\[\]-~]{1,255}"|[!#-~][!-~]{0,254})$"##;

/// The key of a request, when it has one.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<RequestKey>, Problem> {
    let mut lines = headers.get_all(NAME).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let key = line.to_str().ok().and_then(unquoted).and_then(|text| RequestKey::new(text).ok());
    // Two keys are none: which of them would a repetition have to carry?
    match key {
        Some(key) if lines.next().is_none() => Ok(Some(key)),
        _ => Err(problems::malformed(
            NAME,
            "must stand there once, as 1 to 255 printable ASCII characters without spaces, or in quotes",
        )),
    }
}

/// The text of a key. In quotes it is a string of RFC 9651, as the draft of the header asks for, but without escapes.
fn unquoted(line: &str) -> Option<&str> {
    match line.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').filter(|text| !text.contains(['"', '\\'])),
        None => Some(line).filter(|text| !text.contains(' ')),
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn key(lines: &[&str]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        read(&headers).map(|key| key.map(|key| key.to_string())).map_err(drop)
    }

    #[test]
    fn a_key_stands_in_quotes_or_as_it_is() {
        assert_eq!(key(&[]), Ok(None));
        for line in ["abc-1", "\"abc-1\""] {
            assert_eq!(key(&[line]), Ok(Some("abc-1".to_owned())), "{line}");
        }
        assert_eq!(key(&["\"my key\""]), Ok(Some("my key".to_owned())));
        assert_eq!(key(&["a\"b\\c"]), Ok(Some("a\"b\\c".to_owned())));
        let longest = "k".repeat(255);
        assert_eq!(key(&[&format!("\"{longest}\"")]), Ok(Some(longest)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let too_long = "k".repeat(256);
        for line in ["", "\"\"", "\"", "\"open", "\"a\"b\"", "\"a\\\"", "my key", "ä", &too_long] {
            assert_eq!(key(&[line]), Err(()), "{line}");
        }
        assert_eq!(key(&["a", "a"]), Err(()));
    }
}
