//! Listing in pages.

use super::{StudentsHarness, ada, ctx, ctx_at, enrolled, enrolment, person, removal};
use crate::page::{Cursor, CursorValue, Direction, PageLimit, SearchPrefix, Sort};
use crate::query::ListStudents;
use crate::student::Student;

const SORTS: [&str; 6] = ["number", "-number", "lastName", "-lastName", "created", "-created"];

/// Without students there is a page, with nothing on it and nothing after it.
pub async fn an_empty_list_is_one_empty_page(harness: &dyn StudentsHarness) {
    for sort in SORTS {
        let page = harness.students().list(&list(sort, None, 50)).await.unwrap();
        assert!(page.items.is_empty() && page.next.is_none(), "{sort}");
    }
}

/// Walking page by page gives every student once, in order, also where many are sorted alike.
pub async fn pages_have_no_gaps_and_no_repeats_in_any_order(harness: &dyn StudentsHarness) {
    let mut everyone = Vec::new();
    for (i, last_name) in
        ["b", "A", "a", "B", "Ä", "a", "ä", "\u{10ffff}", "Z", "ﬀ", "a"].into_iter().enumerate()
    {
        // Two at a time are enrolled in the same millisecond, and not in the order of their numbers.
        let ctx = ctx_at(100 - 10 * (i as i64 / 2));
        let person = person("Some", last_name, &format!("s{i}@example.org"));
        everyone.push(harness.students().enrol(enrolment(person, &ctx), &ctx).await.unwrap());
    }
    for sort in SORTS {
        let in_order = in_order(&everyone, sort);
        for limit in [1, 2, 3, 10, 11, 12] {
            assert_eq!(walk(harness, &list(sort, None, limit)).await, in_order, "{sort} by {limit}");
        }
    }
}

/// A cursor names a place, not a row.
pub async fn a_page_goes_on_after_a_student_that_was_removed(harness: &dyn StudentsHarness) {
    for i in 0..4 {
        enrolled(harness, person("Some", "Body", &format!("s{i}@example.org"))).await;
    }
    let students = harness.students();
    let mut query = list("-lastName", None, 2);
    let page = students.list(&query).await.unwrap();
    students.remove(removal(&page.items[1]), &ctx()).await.unwrap();
    query.cursor = page.next;
    let rest = students.list(&query).await.unwrap();
    assert_eq!(numbers(&rest.items), [2, 1]);
    assert_eq!(rest.next, None);
}

/// A search is a prefix of either name or of the email, in any case and any script.
pub async fn a_search_finds_prefixes_of_names_and_email_ignoring_case(harness: &dyn StudentsHarness) {
    enrolled(harness, ada()).await;
    enrolled(harness, person("Émile", "Adams", "zola@Example.org")).await;
    enrolled(harness, person("Grace", "Hopper", "ADMIRAL@navy.mil")).await;
    enrolled(harness, person("Οδυσσεύς", "Σίσυφος", "greek@example.org")).await;
    for (search, expected) in [
        ("ad", &[1, 2, 3][..]),
        ("AD", &[1, 2, 3]),
        ("ada", &[1, 2]),
        ("ada@", &[1]),
        ("ADA@example.ORG", &[1]),
        ("love", &[1]),
        ("velace", &[]),
        ("éMI", &[2]),
        ("emi", &[]),
        ("ΟΔΥΣ", &[4]),
        ("σίσυφοσ", &[4]),
        ("nobody", &[]),
    ] {
        let page = harness.students().list(&list("number", Some(search), 50)).await.unwrap();
        assert_eq!(numbers(&page.items), expected, "{search}");
    }
}

/// Characters with a meaning in patterns stand for themselves.
pub async fn a_search_takes_wildcards_literally(harness: &dyn StudentsHarness) {
    let names = ["plain", "%percent", "_under", "\\back", "[ab]c", "*star", "?mark", "'quote"];
    for (i, name) in names.into_iter().enumerate() {
        enrolled(harness, person(name, "Name", &format!("s{i}@example.org"))).await;
    }
    for (search, expected) in [
        ("%", &[2][..]),
        ("_", &[3]),
        ("\\", &[4]),
        ("[", &[5]),
        ("[ab]", &[5]),
        ("*", &[6]),
        ("?", &[7]),
        ("'", &[8]),
        ("p%", &[]),
        ("%p", &[2]),
        ("_lain", &[]),
        ("\\%", &[]),
        ("s_@", &[]),
    ] {
        let page = harness.students().list(&list("number", Some(search), 50)).await.unwrap();
        assert_eq!(numbers(&page.items), expected, "{search}");
    }
}

/// Pages of a search hold what it finds and nothing else.
pub async fn a_search_is_paged_too(harness: &dyn StudentsHarness) {
    let mut found = Vec::new();
    for i in 0..7 {
        found.push(enrolled(harness, person("Ada", &format!("L{}", i % 3), &format!("a{i}@x.org"))).await);
        enrolled(harness, person("Bob", "L", &format!("b{i}@x.org"))).await;
    }
    for sort in SORTS {
        let in_order = in_order(&found, sort);
        for limit in [1, 3, 7] {
            assert_eq!(walk(harness, &list(sort, Some("AD"), limit)).await, in_order, "{sort} by {limit}");
        }
    }
}

fn list(sort: &str, search: Option<&str>, limit: u32) -> ListStudents {
    ListStudents {
        limit: PageLimit::new(limit).unwrap(),
        sort: sort.parse().unwrap(),
        search: search.map(|search| SearchPrefix::parse(search).unwrap()),
        cursor: None,
    }
}

async fn walk(harness: &dyn StudentsHarness, first: &ListStudents) -> Vec<u64> {
    let (sort, search) = (first.sort, first.search.as_ref());
    let mut query = first.clone();
    let mut seen = Vec::new();
    loop {
        let page = harness.students().list(&query).await.unwrap();
        assert!(!page.items.is_empty(), "only an empty list has an empty page");
        assert!(page.items.len() <= query.limit.get() as usize);
        seen.extend(numbers(&page.items));
        let Some(next) = page.next else { return seen };
        assert_eq!(page.items.last().map(|last| Cursor::after(last, sort, search)).as_ref(), Some(&next));
        query.cursor = Some(Cursor::decode(&next.encode(), sort, search).unwrap());
    }
}

fn in_order(students: &[Student], sort: &str) -> Vec<u64> {
    let sort: Sort = sort.parse().unwrap();
    let mut sorted = students.to_vec();
    sorted.sort_by_key(|student| (CursorValue::of(student, sort.key), student.number));
    if sort.direction == Direction::Descending {
        sorted.reverse();
    }
    numbers(&sorted)
}

fn numbers(students: &[Student]) -> Vec<u64> {
    students.iter().map(|student| student.number.get()).collect()
}
