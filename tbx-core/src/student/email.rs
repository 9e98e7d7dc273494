//! The email address of a student.

use std::fmt;

/// A syntactically valid address: trimmed, ASCII, at most 254 bytes.
///
/// The syntax is the everyday part of RFC 5321: a dot-atom before the `@`, at least two domain labels after it. Quoted
/// local parts and address literals are refused. Equality is exact; two students may not share an [`EmailKey`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// Most bytes an address may have.
    pub const MAX_BYTES: usize = 254;

    /// Reads an address, without the white space around it.
    ///
    /// # Errors
    ///
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let email = text.trim();
        if email.is_empty() {
            return Err(EmailError::Empty);
        }
        if email.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = email.rsplit_once('@').ok_or(EmailError::Malformed)?;
        if !is_local_part(local) || !is_domain(domain) {
            return Err(EmailError::Malformed);
        }
        Ok(Self(email.to_owned()))
    }

    /// The address in the case it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What must be unique: the address in lower case.
    pub fn key(&self) -> EmailKey {
        EmailKey(self.0.to_ascii_lowercase())
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address in ASCII lower case: equal for addresses that count as the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailKey(String);

impl EmailKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EmailError {
    /// Nothing is left after trimming.
    #[error("is empty")]
    Empty,
    /// More than 254 bytes.
    #[error("is longer than 254 bytes")]
    TooLong,
    /// Not of the form `local@domain.tld`.
    #[error("is not an email address")]
    Malformed,
}

impl EmailError {
    /// A stable name of the rule, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
        }
    }
}

/// A dot-atom of at most 64 bytes, RFC 5321 sections 4.1.2 and 4.5.3.1.1.
fn is_local_part(local: &str) -> bool {
    local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
}

/// RFC 5322 section 3.2.3.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(is_domain_label)
}

/// RFC 1035 section 2.3.1, with the leading digits that RFC 1123 allows.
fn is_domain_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn everyday_addresses_are_read_trimmed_and_keep_their_case() {
        for text in ["a@b.c", " Ada.Lovelace+1@Example.co.uk\n", "o'brien@x-y.org", "1@2.3", "{~}@b.de"] {
            assert_eq!(Email::parse(text).unwrap().as_str(), text.trim());
        }
        assert_eq!(Email::parse(" Ada@Example.COM").unwrap().key().as_str(), "ada@example.com");
    }

    #[test]
    fn other_texts_are_malformed() {
        for text in [
            "ada",
            "@b.c",
            "a@",
            "a@b",
            "a@@b.c",
            "a@b@c.d",
            ".a@b.c",
            "a.@b.c",
            "a..a@b.c",
            "a b@c.d",
            "a@b c.d",
            "a@-b.c",
            "a@b-.c",
            "a@b..c",
            "a@.b",
            "a@b.c.",
            "a@b_c.d",
            "ä@b.c",
            "a@ä.c",
            "a\0@b.c",
            "a@b\n.c",
            "\"a b\"@c.d",
            "a@[127.0.0.1]",
            "a,b@c.d",
        ] {
            assert_eq!(Email::parse(text), Err(EmailError::Malformed), "{text:?}");
        }
        assert_eq!(Email::parse("  "), Err(EmailError::Empty));
    }

    #[test]
    fn lengths_are_bounded_exactly() {
        let long = |local: usize, label: usize| format!("{}@{}.org", "a".repeat(local), "b".repeat(label));
        assert!(Email::parse(&long(64, 63)).is_ok());
        assert_eq!(Email::parse(&long(65, 63)), Err(EmailError::Malformed));
        assert_eq!(Email::parse(&long(64, 64)), Err(EmailError::Malformed));

        let label = "b".repeat(61);
        let longest = format!("{}@{label}.{label}.{label}.org", "a".repeat(64));
        assert_eq!(longest.len(), 254);
        assert!(Email::parse(&longest).is_ok());
        assert_eq!(Email::parse(&format!("{longest}s")), Err(EmailError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_accepted_keeps_the_rules(text in "[ -~äA-Za-z.@\\n]{0,40}|[a-z.]{1,8}@[a-z.-]{1,12}") {
            if let Ok(email) = Email::parse(&text) {
                let (local, domain) = email.as_str().split_once('@').unwrap();
                prop_assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!local.is_empty() && domain.contains('.') && !domain.contains('@'));
                prop_assert_eq!(Email::parse(email.key().as_str()).unwrap().key(), email.key());
            }
        }
    }
}
