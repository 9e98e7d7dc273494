//! What a client asks for.

use std::time::Duration;

use http::request::Parts;

use crate::rejection::Rejection;
use crate::request::Query;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const MAX_WAIT: u64 = 60;

/// How much a client takes, and how long it waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) limit: usize,
    pub(super) wait: Duration,
}

/// Reads a query.
pub(super) fn read(parts: &Parts) -> Result<(Query<'_>, Patience), Rejection> {
    let query = Query::read(parts, "after")?;
    let mut patience = Patience { limit: DEFAULT_LIMIT, wait: Duration::ZERO };
    let mut known = Vec::new();
    for (name, value) in &query.others {
        if matches!(&**name, "limit" | "wait") {
            if known.contains(name) {
                return Err(Rejection::query(format!("`{name}` is given twice")));
            }
            known.push(name.clone());
        }
        match &**name {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                patience.limit = limit
                    .ok_or_else(|| Rejection::query(format!("`limit` is a number from 1 to {MAX_LIMIT}")))?;
            }
            "wait" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds <= MAX_WAIT);
                let seconds = seconds.ok_or_else(|| {
                    Rejection::query(format!("`wait` is a whole number of seconds from 0 to {MAX_WAIT}"))
                })?;
                patience.wait = Duration::from_secs(seconds);
            }
            _ => {}
        }
    }
    Ok((query, patience))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(uri: &str) -> Result<Patience, String> {
        let parts = http::Request::get(uri).body(()).unwrap().into_parts().0;
        read(&parts).map(|(_, patience)| patience).map_err(|rejection| rejection.detail().to_owned())
    }

    #[test]
    fn limit_and_wait_have_bounds() {
        let wanted = Patience { limit: 7, wait: Duration::from_secs(60) };
        assert_eq!(patience("/?limit=7&wait=60&access_token=x"), Ok(wanted));
        for (uri, name) in [
            ("/?limit=0", "limit"),
            ("/?limit=1001", "limit"),
            ("/?wait=61", "wait"),
            ("/?wait=1&wait=2", "wait"),
            ("/?wait=-1", "wait"),
        ] {
            assert!(patience(uri).unwrap_err().starts_with(&format!("`{name}`")), "{uri}");
        }
    }
}
