//! A piece of the list of dead letters.

use std::collections::HashSet;

use poem::http::StatusCode;
use serde::Deserialize;
use tbx_backends::{Letter, LetterId};
use tbx_service::problem::Problem;

/// How many letters an answer has, unless told otherwise and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// What a request says about the piece it wants.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    limit: Option<String>,
    after: Option<String>,
}

/// Which piece.
#[derive(Debug)]
pub(crate) struct Page {
    limit: usize,
    after: Option<LetterId>,
}

impl Page {
    /// Reads what a request says.
    pub(crate) fn read(wanted: &Wanted) -> Result<Self, Problem> {
        let limit = match &wanted.limit {
            None => USUAL,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=MOST) => limit,
                _ => return Err(malformed("`limit` is a number from 1 to 1000.")),
            },
        };
        let after = match wanted.after.as_deref().map(str::parse) {
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => return Err(malformed("`after` is the id of a dead letter, as `next` tells it.")),
        };
        Ok(Self { limit, after })
    }

    /// The piece of `letters`, and the id to go on after, if there are more.
    pub(crate) fn of(&self, mut letters: Vec<Letter>) -> Result<(Vec<Letter>, Option<LetterId>), Problem> {
        // One whose confirmation was lost is in its queue twice.
        let mut seen = HashSet::new();
        letters.retain(|letter| seen.insert(letter.id.clone()));
        let begin = match &self.after {
            None => 0,
            // One that is gone by now has left a gap between numbers.
            Some(LetterId::Stored(after)) => letters
                .partition_point(|letter| matches!(&letter.id, LetterId::Stored(number) if number <= after)),
            Some(after) => match letters.iter().rposition(|letter| letter.id == *after) {
                Some(place) => place + 1,
                None => return Err(gone()),
            },
        };
        let is_last = letters.len() - begin <= self.limit;
        let piece: Vec<Letter> = letters.into_iter().skip(begin).take(self.limit).collect();
        let next = if is_last { None } else { piece.last().map(|letter| letter.id.clone()) };
        Ok((piece, next))
    }
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed-request", detail)
}

fn gone() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "The dead letter to go on after is not there any more; begin again without `after`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(ids: &[&str]) -> Vec<Letter> {
        let letter = |id: &&str| Letter {
            id: id.parse().unwrap(),
            channel: String::new(),
            group: String::new(),
            topic: String::new(),
            message_id: String::new(),
            kind: None,
            attempts: 1,
            reason: String::new(),
            detail: String::new(),
            died_at: None,
            body: Default::default(),
        };
        ids.iter().map(letter).collect()
    }

    fn walk(mut ids: Vec<&str>, limit: &str, gone_after: Option<&str>) -> Vec<String> {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let wanted = Wanted { limit: Some(limit.to_owned()), after };
            let (piece, next) = Page::read(&wanted).unwrap().of(letters(&ids)).unwrap();
            seen.extend(piece.iter().map(|letter| letter.id.to_string()));
            let Some(next) = next else { return seen };
            ids.retain(|id| Some(*id) != gone_after);
            after = Some(next.to_string());
        }
    }

    #[test]
    fn a_walk_sees_each_letter_once_wherever_it_is_kept() {
        let ids = vec!["1", "2", "7", "g:a", "g:b", "h:a"];
        for limit in ["1", "2", "3", "5", "6", "1000"] {
            assert_eq!(walk(ids.clone(), limit, None), ids, "{limit}");
            assert_eq!(walk(vec!["1", "g:a", "g:b", "g:a"], limit, None), ["1", "g:a", "g:b"], "{limit}");
        }
    }

    #[test]
    fn a_stored_letter_that_is_gone_meanwhile_ends_no_walk_and_a_queued_one_says_so() {
        assert_eq!(walk(vec!["1", "2", "7", "g:a"], "2", Some("2")), ["1", "2", "7", "g:a"]);
        let wanted = Wanted { limit: None, after: Some("g:b".to_owned()) };
        let problem = Page::read(&wanted).unwrap().of(letters(&["1", "g:a"])).unwrap_err();
        assert_eq!(problem.status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn what_is_no_limit_and_no_letter_is_refused() {
        for (limit, after) in [("0", None), ("1001", None), ("x", None), ("", None), ("1", Some("x"))] {
            let wanted = Wanted { limit: Some(limit.to_owned()), after: after.map(str::to_owned) };
            let problem = Page::read(&wanted).unwrap_err();
            assert_eq!(problem.status, StatusCode::BAD_REQUEST, "{limit} {after:?}");
        }
    }
}
