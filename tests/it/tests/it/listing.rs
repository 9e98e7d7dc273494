//! Lists of students.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tbx_it::{Answer, Client, Setup, Tbx, eventually};

use crate::support::{CHANGES, STUDENTS, connected, created, delete, next, nth, problem};

/// A folder with seeded students, and a process on it.
async fn seeded(count: usize) -> (Setup, Tbx) {
    let setup = Setup::new();
    let seed = setup.command(&["seed", "--count", &count.to_string()]).output().await.unwrap();
    assert!(seed.status.success(), "{seed:?}");
    let tbx = setup.start().await;
    (setup, tbx)
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

fn number(student: &Value) -> u64 {
    student["number"].as_u64().unwrap()
}

/// Every student, by following `next`.
async fn all_by_next(api: &mut Client, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{STUDENTS}?{query}{cursor}")).await.unwrap().json();
        all.extend(items(&page));
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat_in_every_order() {
    let (_setup, tbx) = seeded(120).await;
    let mut api = tbx.api();
    let folded = |student: &Value, field: &str| student[field].as_str().unwrap().to_lowercase();
    for sort in ["number", "lastName", "created"] {
        let ascending = all_by_next(&mut api, &format!("limit=7&sort={sort}")).await;
        let mut numbers: Vec<u64> = ascending.iter().map(number).collect();
        let ordered = ascending.windows(2).all(|pair| match sort {
            "number" => pair[0]["number"].as_u64() < pair[1]["number"].as_u64(),
            field => folded(&pair[0], field) <= folded(&pair[1], field),
        });
        assert!(ordered, "{sort}: {numbers:?}");
        let mut descending = all_by_next(&mut api, &format!("sort=-{sort}&limit=11")).await;
        descending.reverse();
        let descending: Vec<u64> = descending.iter().map(number).collect();
        assert_eq!(descending, numbers, "{sort} backwards");
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=120).collect::<Vec<u64>>(), "{sort}");
    }
}

#[tokio::test]
async fn the_link_leads_to_the_next_page_with_everything_else_kept() {
    let (_setup, tbx) = seeded(23).await;
    let mut api = tbx.api();
    let (mut path, mut seen) = ("/api/v1/students?sort=-lastName&limit=10&search=".to_owned(), Vec::new());
    loop {
        let answer = api.get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        seen.push(items(&answer.json()).len());
        let link = answer.header("link");
        assert_eq!(link.is_empty(), answer.json()["next"].is_null());
        let Some(next) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            break;
        };
        path = next.to_owned();
        assert!(path.starts_with("/api/v1/students?sort=-lastName&limit=10"), "{path}");
        assert_eq!(path.matches("cursor=").count(), 1, "{path}");
    }
    assert_eq!(seen, [10, 10, 3]);
}

#[tokio::test]
async fn a_page_has_fifty_students_unless_asked_and_at_most_two_hundred() {
    let (_setup, tbx) = seeded(201).await;
    let mut api = tbx.api();
    for (query, length) in [("", 50), ("?limit=1", 1), ("?limit=200", 200), ("?limit=50&sort=number", 50)] {
        let page = api.get(&format!("{STUDENTS}{query}")).await.unwrap().json();
        assert_eq!(items(&page).len(), length, "{query}");
        assert!(page["next"].is_string(), "{query}");
    }
    for limit in ["0", "201", "-1", "1.5", "", "many", "05", "%2B5", "%205", "99999999999999999999"] {
        let answer = api.get(&format!("{STUDENTS}?limit={limit}")).await.unwrap();
        problem(&answer, 400, "malformed-request");
    }
}

#[tokio::test]
async fn an_empty_list_is_a_page_without_a_next_one() {
    let tbx = Setup::new().start().await;
    let answer = tbx.api().get(STUDENTS).await.unwrap();
    assert_eq!((answer.status, answer.json()), (200, json!({ "items": [], "next": null })));
    assert_eq!(answer.header("link"), "");
    assert!(!answer.header("stream-position").is_empty());
}

#[tokio::test]
async fn a_search_finds_beginnings_ignoring_case_and_takes_every_character_literally() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let people = [
        ("Ada", "Lovelace", "first@example.org"),
        ("Grace", "Hopper", "ada.fan@example.org"),
        ("Ádám", "Over_Score", "third@example.org"),
        ("100%", "OverXScore", "fourth@example.org"),
        ("1000", "Ad\\a", "fifth@example.org"),
        ("ÅSA", "O'Hara", "sixth@example.org"),
    ];
    for (first_name, last_name, email) in people {
        created(&mut api, &json!({ "firstName": first_name, "lastName": last_name, "email": email })).await;
    }
    for (search, numbers) in [
        ("ADA", vec![1, 2]),
        ("%20ada%20", vec![1, 2]),
        ("ad", vec![1, 2, 5]),
        ("da", vec![]),
        ("over_", vec![3]),
        ("over", vec![3, 4]),
        ("100%25", vec![4]),
        ("%25", vec![]),
        ("_", vec![]),
        ("AD%5C", vec![5]),
        ("%C3%A1d%C3%81m", vec![3]),
        ("%C3%A5s", vec![6]),
        ("o%27h", vec![6]),
        ("o%27%20OR%201=1", vec![]),
        ("SIXTH@EXAMPLE.ORG", vec![6]),
        ("", vec![1, 2, 3, 4, 5, 6]),
        ("+%20", vec![1, 2, 3, 4, 5, 6]),
    ] {
        let page = api.get(&format!("{STUDENTS}?search={search}")).await.unwrap().json();
        let found: Vec<u64> = items(&page).iter().map(number).collect();
        assert_eq!(found, numbers, "{search}");
    }
}

#[tokio::test]
async fn queries_that_cannot_be_read_are_refused() {
    let (_setup, tbx) = seeded(3).await;
    let mut api = tbx.api();
    let page = api.get(&format!("{STUDENTS}?limit=1&sort=number")).await.unwrap().json();
    let cursor = page["next"].as_str().unwrap();
    let foreign = [
        "sort=email".to_owned(),
        "sort=".to_owned(),
        "sort=--number".to_owned(),
        "cursor=".to_owned(),
        "cursor=garbage".to_owned(),
        "cursor=%00".to_owned(),
        format!("cursor={}", "A".repeat(3000)),
        format!("cursor={cursor}x"),
        format!("cursor={cursor}&sort=-number"),
        format!("cursor={cursor}&search=a"),
        "search=%00".to_owned(),
        "search=a%0Ab".to_owned(),
        format!("search={}", "a".repeat(101)),
        "search=%ff".to_owned(),
        "search=%zz".to_owned(),
        "search=%".to_owned(),
        "unknown=%ff".to_owned(),
        "limit=1&limit=2".to_owned(),
        "sort=number&%73ort=number".to_owned(),
        "search=a&search=a".to_owned(),
        format!("cursor={cursor}&cursor={cursor}"),
    ];
    for query in foreign {
        let answer = api.get(&format!("{STUDENTS}?{query}")).await.unwrap();
        problem(&answer, 400, "malformed-request");
    }
    assert_eq!(api.get(&format!("{STUDENTS}?unknown=1&unknown=2&&x")).await.unwrap().status, 200);
}

#[tokio::test]
async fn pages_stay_whole_while_students_come_and_go() {
    let (_setup, tbx) = seeded(60).await;
    let (mut api, mut others) = (tbx.api(), tbx.api());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for round in 0.. {
        let page = api.get(&format!("{STUDENTS}?limit=10&sort=number{cursor}")).await.unwrap().json();
        seen.extend(items(&page).iter().map(number));
        // One before the cursor goes, one behind it comes.
        if round < 6 {
            let gone = delete(&mut others, &(round * 10 + 5).to_string()).await;
            assert_eq!(gone.status, 204);
            created(&mut others, &nth(round)).await;
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, (1..=66).collect::<Vec<u64>>());
}

#[tokio::test]
async fn who_reads_the_list_and_then_streams_from_its_position_misses_nothing() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("api");
    let writer = tokio::spawn(async move {
        let mut api = Client::new(address);
        for n in 1..=150 {
            created(&mut api, &nth(n)).await;
        }
    });
    // Lists at several moments of the writing; from each, list and stream together are everything.
    let mut readers = Vec::new();
    for written in [0, 30, 60, 90, 120] {
        let list = eventually("enough students", || async {
            let list = Client::new(address).get(&format!("{STUDENTS}?limit=200")).await.unwrap();
            let count = items(&list.json()).len();
            if count >= written { Ok(list) } else { Err(count.to_string()) }
        });
        readers.push(tokio::spawn(complete(list.await, tbx.address("notifier"))));
    }
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
}

/// Streams from the position of a list until all 150 students are known.
async fn complete(list: Answer, notifier: SocketAddr) {
    let mut known: BTreeSet<u64> = items(&list.json()).iter().map(number).collect();
    let mut stream = connected(notifier, CHANGES, Some(list.header("stream-position"))).await;
    while known.len() < 150 {
        let event = next(&mut stream).await;
        assert_eq!(event.event, "StudentCreated");
        known.insert(number(&event.json()["student"]));
    }
}
