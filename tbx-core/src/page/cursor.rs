//! Where a list goes on.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::{Uuid, uuid};

use super::{SearchPrefix, Sort, SortKey};
use crate::student::{PersonName, Student, StudentNumber};

/// The place in a list right after one student.
///
/// It names the place by values, so it stays good when that student changes or goes. It belongs to one order and one
/// search; [`decode`](Self::decode) refuses it under another. As text it is opaque, safe in a URL and at most
/// [`MAX_BYTES`](Self::MAX_BYTES) long.
///
/// The next page is what comes after `(value, number)`, compared as a pair: greater for an ascending order, smaller for
/// a descending one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    value: CursorValue,
    number: StudentNumber,
    query: Uuid,
}

/// What the last student of a page was sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CursorValue {
    /// Its number.
    Number(u64),
    /// The search key of its last name.
    LastName(String),
    /// The moment of its enrolment.
    Created(DateTime<Utc>),
}

impl CursorValue {
    /// What `student` is sorted by under `key`.
    pub fn of(student: &Student, key: SortKey) -> Self {
        match key {
            SortKey::Number => Self::Number(student.number.get()),
            SortKey::LastName => Self::LastName(student.last_name.search_key()),
            SortKey::Created => Self::Created(student.audit.created),
        }
    }
}

impl Cursor {
    /// Most bytes the text of a cursor has.
    pub const MAX_BYTES: usize = 1024;

    /// The place right after `student` in the list of that order and search.
    pub fn after(student: &Student, sort: Sort, search: Option<&SearchPrefix>) -> Self {
        let value = CursorValue::of(student, sort.key);
        Self { value, number: student.number, query: query_id(sort, search) }
    }

    /// What the last student was sorted by.
    pub const fn value(&self) -> &CursorValue {
        &self.value
    }

    /// The number of the last student.
    pub const fn number(&self) -> StudentNumber {
        self.number
    }

    /// The text to hand out; [`decode`](Self::decode) reads it.
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Reads a cursor for the list of that order and search.
    ///
    /// # Errors
    ///
    /// [`BadCursor`] when the text is no cursor, or one of another order or search.
    pub fn decode(text: &str, sort: Sort, search: Option<&SearchPrefix>) -> Result<Self, BadCursor> {
        if text.len() > Self::MAX_BYTES {
            return Err(BadCursor);
        }
        let mut parts = text.split('.');
        let (Some(query), Some(number), Some(value), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadCursor);
        };

        let expected = query_id(sort, search);
        if query != expected.simple().to_string() {
            return Err(BadCursor);
        }
        let number =
            number.parse().ok().and_then(|number| StudentNumber::new(number).ok()).ok_or(BadCursor)?;
        let value = decode_value(value, sort.key, number).ok_or(BadCursor)?;
        let cursor = Self { value, number, query: expected };
        // One place has one text: a leading zero or a plus sign was written by somebody else.
        if cursor.to_string() == text { Ok(cursor) } else { Err(BadCursor) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", self.query.simple(), self.number)?;
        match &self.value {
            // The number is there already.
            CursorValue::Number(_) => Ok(()),
            CursorValue::LastName(key) => key.bytes().try_for_each(|byte| write!(f, "{byte:02x}")),
            CursorValue::Created(created) => write!(f, "{}", created.timestamp_millis()),
        }
    }
}

/// The text is no cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cursor does not belong to this list")]
pub struct BadCursor;

/// Stands for the form of the text too: when the form changes, so does this, and old cursors are refused.
const QUERIES: Uuid = uuid!("6b1f6f5e-5d0c-4f4b-9a52-1f4e6a2e9c01");

/// A short name of an order and a search, the same in every process.
fn query_id(sort: Sort, search: Option<&SearchPrefix>) -> Uuid {
    let search = search.map_or("", SearchPrefix::key);
    Uuid::new_v5(&QUERIES, format!("{sort}\n{search}").as_bytes())
}

fn decode_value(text: &str, key: SortKey, number: StudentNumber) -> Option<CursorValue> {
    match key {
        SortKey::Number => Some(CursorValue::Number(number.get())),
        SortKey::LastName => {
            let key = String::from_utf8(decode_hex(text)?).ok()?;
            // A key that no name has could be one that a database refuses to compare, such as a zero character. A key
            // may be longer than its name: one letter has up to three in lower case.
            let possible = !key.is_empty()
                && key.chars().count() <= 3 * PersonName::MAX_CHARS
                && !key.chars().any(char::is_control);
            possible.then_some(CursorValue::LastName(key))
        }
        SortKey::Created => DateTime::from_timestamp_millis(text.parse().ok()?).map(CursorValue::Created),
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SORTS: [&str; 6] = ["number", "-number", "lastName", "-lastName", "created", "-created"];

    fn cursor(
        sort: Sort,
        search: Option<&SearchPrefix>,
        last_name: &str,
        number: u64,
        millis: i64,
    ) -> Cursor {
        let value = match sort.key {
            SortKey::Number => CursorValue::Number(number),
            SortKey::LastName => CursorValue::LastName(search_key_of(last_name)),
            SortKey::Created => CursorValue::Created(DateTime::from_timestamp_millis(millis).unwrap()),
        };
        Cursor { value, number: StudentNumber::new(number).unwrap(), query: query_id(sort, search) }
    }

    fn search_key_of(name: &str) -> String {
        PersonName::parse(name).unwrap().search_key()
    }

    #[test]
    fn a_cursor_is_refused_by_every_other_list() {
        let (ada, ad) = (SearchPrefix::parse("ada").ok(), SearchPrefix::parse("ad").ok());
        let lists: Vec<(Sort, Option<&SearchPrefix>)> = SORTS
            .iter()
            .flat_map(|sort| [None, ada.as_ref(), ad.as_ref()].map(|search| (sort.parse().unwrap(), search)))
            .collect();
        for (i, (sort, search)) in lists.iter().enumerate() {
            let text = cursor(*sort, *search, "Lovelace", 7, 1_700_000_000_000).encode();
            for (j, (sort, search)) in lists.iter().enumerate() {
                assert_eq!(Cursor::decode(&text, *sort, *search).is_ok(), i == j, "{text}");
            }
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let sort = "lastName".parse().unwrap();
        for letter in ["𐐀", "İ", "\u{10ffff}"] {
            let text = cursor(sort, None, &letter.repeat(100), u64::from(u32::MAX), 0).encode();
            assert!(Cursor::decode(&text, sort, None).is_ok(), "{letter}");
        }
    }

    #[test]
    fn a_text_made_up_is_refused() {
        let by_name: Sort = "lastName".parse().unwrap();
        let id = query_id(by_name, None).simple().to_string();
        for rest in [
            "", ".", "..", ".1", ".1.", ".1.00", ".1.6", ".1.zz", ".1.ff", ".0.61", ".01.61", ".1.61.",
            ".1.4A", ".1.é",
        ] {
            let text = format!("{id}{rest}");
            assert_eq!(Cursor::decode(&text, by_name, None), Err(BadCursor), "{text}");
        }
        assert_eq!(Cursor::decode(&"a".repeat(5000), by_name, None), Err(BadCursor));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_and_is_safe_in_a_url(
            sort in prop::sample::select(&SORTS),
            search in proptest::option::of("[\\PC]{1,100}"),
            last_name in "\\PC{0,98}x",
            number in 1..=StudentNumber::MAX,
            millis in -8_000_000_000_000_i64..8_000_000_000_000,
        ) {
            let sort = sort.parse().unwrap();
            let search = search.and_then(|search| SearchPrefix::parse(&search).ok());
            let cursor = cursor(sort, search.as_ref(), &last_name, number, millis);
            let text = cursor.encode();
            prop_assert!(text.len() <= Cursor::MAX_BYTES);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
            prop_assert_eq!(Cursor::decode(&text, sort, search.as_ref()), Ok(cursor));
        }

        #[test]
        fn decoding_never_panics(sort in prop::sample::select(&SORTS), text in any::<String>(), tail in "[-+0-9a-fé.]{0,60}") {
            let sort = sort.parse().unwrap();
            prop_assert_eq!(Cursor::decode(&text, sort, None), Err(BadCursor));
            let _ = Cursor::decode(&format!("{}{tail}", query_id(sort, None).simple()), sort, None);
        }
    }
}
