//! Lists in pages: how many, in which order, searched by what, and where to go on.

mod cursor;
mod limit;
mod search;
mod sort;

pub use cursor::{BadCursor, Cursor, CursorValue};
pub use limit::{InvalidPageLimit, PageLimit};
pub use search::{InvalidSearchPrefix, SearchPrefix};
pub use sort::{Direction, Sort, SortKey, UnknownSort};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Where the next page starts; nothing at the end.
    pub next: Option<Cursor>,
}
