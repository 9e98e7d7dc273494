//! Entity tags, and requests that hold only for a state.

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Answer, Client, Setup};

use crate::support::{CHANGES, JSON, ada, at_rest, connected, created, delete, get, next, problem, put, raw};

const ADA: &str = "/api/students/1";

async fn put_when(api: &mut Client, tag: &str, first_name: &str) -> Answer {
    let body = json!({ "firstName": first_name, "lastName": "Lovelace", "email": "ada@example.org" });
    api.send(Method::PUT, ADA, &[JSON, ("if-match", tag)], body.to_string().into()).await.unwrap()
}

#[tokio::test]
async fn a_state_that_the_client_has_is_not_sent_again() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    let rested = at_rest(tbx.address("api"), "1").await;
    let tag = rested.header("etag").to_owned();
    for same in [tag.clone(), format!("W/{tag}"), format!("\"9.9\", {tag}"), "*".to_owned()] {
        let answer = api.send(Method::GET, ADA, &[("if-none-match", &same)], "".into()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{same}");
        assert_eq!(answer.header("etag"), tag);
        assert!(!answer.header("stream-position").is_empty());
    }
    // The whole tag counts: the version alone is not the state.
    for other in ["\"1.0\"", "\"1\"", "\"2.1\""] {
        let answer = api.send(Method::GET, ADA, &[("if-none-match", other)], "".into()).await.unwrap();
        assert_eq!((answer.status, answer.json()), (200, rested.json()), "{other}");
    }
    let fresh = [("cache-control", "no-cache"), ("if-none-match", tag.as_str())];
    assert_eq!(api.send(Method::GET, ADA, &fresh, "".into()).await.unwrap().status, 304);
}

#[tokio::test]
async fn a_write_for_another_version_is_refused_and_changes_nothing() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    let rested = at_rest(tbx.address("api"), "1").await.json();
    for stale in [
        "\"2.0\"",
        "\"0.0\"",
        "\"1\"",
        "\"1.\"",
        "\"01.0\"",
        "\"1.00\"",
        "\"1.x\"",
        "\"1.0.0\"",
        "\"foreign\"",
        "W/\"1.1\"",
        "\"2.0\", \"3.0\"",
    ] {
        problem(&put_when(&mut api, stale, "Other").await, 412, "stale-version");
        let condition = ("if-match", stale);
        let patch = r#"{"firstName":"B"}"#.into();
        let answer = api.send(Method::PATCH, ADA, &[JSON, condition], patch).await.unwrap();
        problem(&answer, 412, "stale-version");
        let answer = api.send(Method::DELETE, ADA, &[condition], "".into()).await.unwrap();
        problem(&answer, 412, "stale-version");
    }
    assert_eq!(get(&mut api, "1").await.json(), rested);
    // Only the version part is compared, so what the worker counts stops nobody.
    for (tag, version) in [("\"1.0\"", 2), ("\"2.77\"", 3), ("\"9.9\", \"3.0\"", 4), ("*", 5)] {
        let answer = put_when(&mut api, tag, &format!("Ada{version}")).await;
        assert_eq!((answer.status, &answer.json()["version"]), (200, &json!(version)), "{tag}");
    }
    let gone = api.send(Method::DELETE, ADA, &[("if-match", "\"5.0\"")], "".into()).await.unwrap();
    assert_eq!(gone.status, 204);
    assert_eq!(put_when(&mut api, "\"5.0\"", "Ada").await.status, 404);
}

#[tokio::test]
async fn conditions_that_are_no_entity_tags_cannot_be_read() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    for tag in ["1.1", "\"1.1", "'1.1'", ",", "\"1.1\" \"1.2\""] {
        problem(&put_when(&mut api, tag, "Other").await, 400, "malformed-request");
        let answer = api.send(Method::GET, ADA, &[("if-none-match", tag)], "".into()).await.unwrap();
        problem(&answer, 400, "malformed-request");
    }
    assert_eq!(get(&mut api, "1").await.json()["version"], 1);
}

#[tokio::test]
async fn a_condition_over_several_lines_is_one_list_and_one_that_is_no_text_holds_for_nothing() {
    let tbx = Setup::new().start().await;
    created(&mut tbx.api(), &ada()).await;
    let address = tbx.address("api");
    let body = r#"{"firstName":"Other"}"#;
    let patch_when = async |conditions: &[u8]| {
        let mut request =
            format!("PATCH {ADA} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
        request.push_str(&format!("content-length: {}\r\n", body.len()));
        raw(address, [request.as_bytes(), conditions, b"\r\n\r\n", body.as_bytes()].concat()).await
    };
    problem(&patch_when(b"if-match: \"\xff\"").await, 412, "stale-version");
    problem(&patch_when(b"if-match: \xff").await, 400, "malformed-request");
    problem(&patch_when(b"if-match: \"7.0\"\r\nif-match: \"8.0\"").await, 412, "stale-version");
    let answer = patch_when(b"if-match: \"7.0\"\r\nif-match: \"1.0\"").await;
    assert_eq!((answer.status, &answer.json()["version"]), (200, &json!(2)));
}

#[tokio::test]
async fn of_sixty_four_writes_for_one_version_exactly_one_holds_round_after_round() {
    const ROUNDS: u64 = 5;
    let tbx = Setup::new().start().await;
    let student = created(&mut tbx.api(), &ada()).await;
    let (address, notifier) = (tbx.address("api"), tbx.address("notifier"));
    let mut stream = connected(notifier, &format!("{CHANGES}&from=oldest"), None).await;
    let mut names = vec![student["firstName"].clone()];
    for version in 1..=ROUNDS {
        let writes: Vec<_> = (0..64)
            .map(|n| {
                tokio::spawn(async move {
                    let (tag, name) = (format!("\"{version}.0\""), format!("V{version}W{n}"));
                    put_when(&mut Client::new(address), &tag, &name).await
                })
            })
            .collect();
        let mut winners = Vec::new();
        for write in writes {
            let answer = write.await.unwrap();
            match answer.status {
                200 => winners.push(answer.json()),
                _ => drop(problem(&answer, 412, "stale-version")),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(winners[0]["version"], version + 1);
        names.push(winners[0]["firstName"].clone());
    }
    let rested = at_rest(address, "1").await.json();
    assert_eq!((&rested["version"], &rested["firstName"]), (&json!(ROUNDS + 1), &names[ROUNDS as usize]));
    assert_eq!(rested["created"], student["created"]);
    for (version, name) in (1..).zip(&names) {
        let told = next(&mut stream).await.json();
        assert_eq!((&told["student"]["version"], &told["student"]["firstName"]), (&json!(version), name));
    }
}

#[tokio::test]
async fn writes_without_a_condition_all_hold_or_say_that_they_do_not() {
    let tbx = Setup::new().start().await;
    created(&mut tbx.api(), &ada()).await;
    let address = tbx.address("api");
    let writes: Vec<_> = (0..16)
        .map(|n| {
            let body = json!({ "firstName": format!("W{n}"), "lastName": "L", "email": "ada@example.org" });
            tokio::spawn(async move { put(&mut Client::new(address), "1", &body).await })
        })
        .collect();
    let mut versions = Vec::new();
    for write in writes {
        let answer = write.await.unwrap();
        match answer.status {
            200 => versions.push(answer.json()["version"].as_u64().unwrap()),
            _ => drop(problem(&answer, 409, "conflict")),
        }
    }
    versions.sort_unstable();
    let expected: Vec<u64> = (2..).take(versions.len()).collect();
    assert_eq!(versions, expected, "each write that held has a version of its own");
    assert_eq!(at_rest(address, "1").await.json()["version"], json!(versions.len() + 1));
}

#[tokio::test]
async fn of_many_creates_with_one_email_exactly_one_holds() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("api");
    let creates: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                Client::new(address).json(Method::POST, "/api/students", &ada()).await.unwrap()
            })
        })
        .collect();
    let mut held = 0;
    for create in creates {
        let answer = create.await.unwrap();
        match answer.status {
            201 => held += 1,
            _ => drop(problem(&answer, 409, "email-taken")),
        }
    }
    assert_eq!(held, 1);
    let page = Client::new(address).get("/api/students").await.unwrap().json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["next"], Value::Null);
}

#[tokio::test]
async fn what_others_read_follows_every_write_at_once() {
    let tbx = Setup::new().start().await;
    let (mut writer, mut reader) = (tbx.api(), tbx.api());
    created(&mut writer, &ada()).await;
    for version in 2..40_u64 {
        let body =
            json!({ "firstName": format!("Ada{version}"), "lastName": "L", "email": "ada@example.org" });
        assert_eq!(put(&mut writer, "1", &body).await.status, 200);
        let seen = get(&mut reader, "1").await.json();
        assert_eq!((&seen["version"], &seen["firstName"]), (&json!(version), &body["firstName"]));
    }
    assert_eq!(delete(&mut writer, "1").await.status, 204);
    assert_eq!(get(&mut reader, "1").await.status, 404);
}
