//! `/admin/dead-letters` of the worker.

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Answer, Client, Tbx};

use crate::letters::{database, forbid_second, given_up, run};
use crate::support::{at_rest, problem};

const LETTERS: &str = "/admin/dead-letters";

fn worker(tbx: &Tbx) -> Client {
    Client::new(tbx.address("worker"))
}

async fn ask(tbx: &Tbx, method: Method, path: &str) -> Answer {
    worker(tbx).send(method, &format!("{LETTERS}{path}"), &[], "".into()).await.unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn letters_are_listed_page_by_page_and_shown_with_their_body() {
    let tbx = given_up(5).await.start().await;
    let whole = ask(&tbx, Method::GET, "").await;
    assert_eq!((whole.status, whole.header("cache-control")), (200, "no-store"));
    assert_eq!(whole.header("content-type"), "application/json; charset=utf-8");
    assert_eq!((ids(&whole.json()).len(), &whole.json()["next"]), (5, &Value::Null));
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = ask(&tbx, Method::GET, &format!("?limit=2{after}")).await.json();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        assert!(ids(&page).len() <= 2, "{page}");
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);

    let shown = ask(&tbx, Method::GET, "/2").await.json();
    for (name, value) in [
        ("id", "2"),
        ("type", "StudentCreated"),
        ("channel", "tbx.events"),
        ("group", "tbx.worker"),
        ("topic", "student.created"),
        ("reason", "attempts-exhausted"),
        ("diedAt", "1970-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(shown[name], value, "{name}: {shown}");
    }
    assert_eq!((&shown["attempts"], &shown["body"]["student"]["number"]), (&json!(5), &json!(2)));
    assert!(whole.json()["items"][0].get("body").is_none(), "a list is for an overview");
}

#[tokio::test]
async fn what_names_no_page_and_no_letter_is_a_problem() {
    let tbx = given_up(1).await.start().await;
    for query in ["?limit=0", "?limit=1001", "?limit=many", "?limit=", "?after=x", "?limit=1&limit=2"] {
        problem(&ask(&tbx, Method::GET, query).await, 400, "malformed-request");
    }
    for id in ["7", "x", "0", "-1", "99999999999999999999", "tbx.worker:0197", "tbx.other:a", "%00", "a%2Fb"]
    {
        problem(&ask(&tbx, Method::GET, &format!("/{id}")).await, 404, "not-found");
        problem(&ask(&tbx, Method::DELETE, &format!("/{id}")).await, 404, "not-found");
        problem(&ask(&tbx, Method::POST, &format!("/{id}/replay")).await, 404, "not-found");
    }
    problem(&ask(&tbx, Method::GET, "?after=tbx.worker:0197").await, 404, "not-found");
    for (method, path, allow) in [
        (Method::POST, "", "GET, HEAD, OPTIONS"),
        (Method::DELETE, "", "GET, HEAD, OPTIONS"),
        (Method::PUT, "/1", "GET, HEAD, DELETE, OPTIONS"),
        (Method::GET, "/1/replay", "POST, OPTIONS"),
    ] {
        let refused = ask(&tbx, method, path).await;
        problem(&refused, 405, "method-not-allowed");
        assert_eq!(refused.header("allow"), allow, "{path}");
    }
    assert_eq!(ids(&ask(&tbx, Method::GET, "").await.json()), ["1"], "none of it did anything");
}

#[tokio::test]
async fn a_page_of_another_origin_decides_nothing() {
    let tbx = given_up(1).await.start().await;
    for (method, path) in [(Method::DELETE, "/1"), (Method::POST, "/1/replay"), (Method::GET, "")] {
        let path = format!("{LETTERS}{path}");
        let from_elsewhere = [("origin", "http://elsewhere.example")];
        let refused = worker(&tbx).send(method, &path, &from_elsewhere, "".into()).await.unwrap();
        problem(&refused, 403, "origin-not-allowed");
    }
    assert_eq!(ids(&ask(&tbx, Method::GET, "").await.json()), ["1"]);
}

#[tokio::test]
async fn beside_the_running_worker_letters_are_replayed_and_dropped_each_once() {
    let setup = given_up(3).await;
    let pool = database(&setup).await;
    sqlx::query("UPDATE tbx_dead_letters SET headers = 'none' WHERE id = 3").execute(&pool).await.unwrap();
    pool.close().await;
    let tbx = setup.start().await;

    let replayed = ask(&tbx, Method::POST, "/1/replay").await;
    assert_eq!((replayed.status, replayed.json()), (200, json!({ "outcome": "replayed" })));
    problem(&ask(&tbx, Method::POST, "/1/replay").await, 404, "not-found");
    assert_eq!(at_rest(tbx.address("api"), "1").await.json()["updates"], 1);

    assert_eq!(ask(&tbx, Method::DELETE, "/2").await.status, 204);
    problem(&ask(&tbx, Method::DELETE, "/2").await, 404, "not-found");

    let unreadable = ask(&tbx, Method::GET, "/3").await.json();
    assert_eq!(unreadable["type"], Value::Null);
    let told = problem(&ask(&tbx, Method::POST, "/3/replay").await, 409, "conflict");
    assert!(told["detail"].as_str().unwrap().contains("dropped"), "{told}");
    // The command sees what the route left.
    let listed = run(&setup, &["list", "--json"]).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!("3")));
}

#[tokio::test]
async fn what_no_repetition_changes_is_not_told_to_come_back() {
    let setup = given_up(2).await;
    forbid_second(&setup).await;
    let tbx = setup.start().await;
    let refused = ask(&tbx, Method::POST, "/2/replay").await;
    let told = problem(&refused, 409, "conflict");
    assert!(told["detail"].as_str().unwrap().starts_with("A rule of the database forbids it"), "{told}");
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(ask(&tbx, Method::POST, "/1/replay").await.status, 200, "others are not concerned");
    assert_eq!(ids(&ask(&tbx, Method::GET, "").await.json()), ["2"]);

    let pool = database(&setup).await;
    sqlx::query("ALTER TABLE tbx_dead_letters RENAME TO test_elsewhere").execute(&pool).await.unwrap();
    pool.close().await;
    let broken = ask(&tbx, Method::GET, "").await;
    let told = problem(&broken, 500, "internal");
    assert_eq!(broken.header("retry-after"), "");
    assert!(!told.to_string().contains("tbx_dead_letters"), "{told}");
}
