//! Requests that a client repeats under a key of its own, and dead letters that are repeated for one group.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
use tbx_bus::{Group, Subscriber, TopicPattern, cloudevents};
use tbx_it::{Answer, Client, Places, Setup, within};
use tokio::task::JoinSet;

use crate::support::{JSON, STUDENTS, ada, at_rest, created, delete, get, id, nth, problem, put};

const KEY: &str = "idempotency-key";

async fn post_with(api: &mut Client, headers: &[(&str, &str)], body: &Value) -> Answer {
    let headers: Vec<_> = [JSON].into_iter().chain(headers.iter().copied()).collect();
    api.send(Method::POST, STUDENTS, &headers, body.to_string().into()).await.unwrap()
}

async fn post_under(api: &mut Client, key: &str, body: &Value) -> Answer {
    post_with(api, &[(KEY, key)], body).await
}

/// Checks that `again` is the answer `first`, told as a repetition.
#[track_caller]
fn assert_replayed(again: &Answer, first: &Answer) {
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    for header in ["location", "etag", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_post_repeated_under_its_key_happens_once_and_is_answered_as_the_first_time() {
    let setup = Setup::new();
    let tbx = setup.start().await;
    let mut api = tbx.api();
    let first = post_under(&mut api, "\"my first student\"", &ada()).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""));
    let student = first.json();
    put(&mut api, "1", &json!({ "firstName": "Ada", "lastName": "King", "email": "ada@example.org" })).await;
    assert_replayed(&post_under(&mut api, "\"my first student\"", &ada()).await, &first);
    assert_eq!(get(&mut api, "1").await.json()["lastName"], "King", "nothing was written");

    delete(&mut api, &id(&student)).await;
    assert_replayed(&post_under(&mut api, "\"my first student\"", &ada()).await, &first);
    assert_eq!(get(&mut api, "1").await.status, 404, "nor brought back");
    tbx.terminate().await;
    tbx.ended().await;

    let tbx = setup.start().await;
    assert_replayed(&post_under(&mut tbx.api(), "\"my first student\"", &ada()).await, &first);
    assert_eq!(post_under(&mut tbx.api(), "another", &ada()).await.json()["number"], 2);
}

#[tokio::test]
async fn a_key_of_another_request_is_refused_and_one_that_was_refused_is_free() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    problem(&post_under(&mut api, "k", &ada()).await, 409, "email-taken");
    let first = post_under(&mut api, "k", &nth(2)).await;
    assert_eq!(first.status, 201);
    problem(&post_under(&mut api, "k", &nth(3)).await, 422, "key-reused");
    // The same request: what is unknown or in another order does not count.
    let again = json!({ "email": nth(2)["email"], "lastName": nth(2)["lastName"], "firstName": nth(2)["firstName"], "x": 1 });
    assert_replayed(&post_under(&mut api, "\"k\"", &again).await, &first);
    let page = api.get(STUDENTS).await.unwrap().json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let too_long = "k".repeat(256);
    for key in ["", "\"\"", "\"open", "my key", &too_long] {
        problem(&post_under(&mut api, key, &ada()).await, 400, "malformed-request");
    }
    problem(&post_with(&mut api, &[(KEY, "a"), (KEY, "a")], &ada()).await, 400, "malformed-request");
    assert_eq!(post_under(&mut api, &too_long[1..], &ada()).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_under_one_key_to_two_apis_at_once_make_one_student() {
    let places = Places::new().await;
    let setup = places.setup();
    let apis = [setup.start_host("api").await, setup.start_host("api").await];
    let mut posting = JoinSet::new();
    for number in 0..8 {
        let address = apis[number % 2].address("api");
        posting.spawn(async move { post_under(&mut Client::new(address), "k", &ada()).await });
    }
    let answers = within("all answers", posting.join_all()).await;
    let (replayed, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.header("idempotency-replayed") == "true");
    let (first, refused): (Vec<_>, Vec<_>) = others.into_iter().partition(|answer| answer.status == 201);
    let [first] = &first[..] else { panic!("{first:?}") };
    for answer in &replayed {
        assert_replayed(answer, first);
    }
    for answer in &refused {
        problem(answer, 409, "key-in-use");
    }
    assert_replayed(&post_under(&mut apis[1].api(), "k", &ada()).await, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_of_the_database_is_replayed_over_the_broker_to_its_group_alone() {
    let places = Places::new().await;
    let setup = places.setup();
    let rabbit = RabbitMq::start(RabbitOptions::new(&places.vhost.url()).unwrap());
    let audit = Group::new("audit", [TopicPattern::everything()]);
    let mut auditing = rabbit.bus(Exchange::new("tbx.events").unwrap()).consume(&audit).await.unwrap();
    let (api, worker) = (setup.start_host("api").await, setup.start_host("worker").await);
    created(&mut api.api(), &ada()).await;
    at_rest(api.address("api"), "1").await;
    let delivery = within("the event", auditing.next()).await.unwrap().unwrap();
    let event = delivery.message().clone();
    delivery.ack().await.unwrap();

    // As if the worker had given it up, over a bus that keeps its letters in the database.
    let quoted = |text: &str| text.replace('\'', "''");
    let headers = serde_json::to_string(&cloudevents::to_headers(&event)).unwrap();
    let body = std::str::from_utf8(event.body()).unwrap();
    places
        .database
        .execute(&format!(
            "DELETE FROM tbx_inbox; UPDATE students SET updates = 0; \
             INSERT INTO tbx_dead_letters (channel, consumer, message_id, topic, headers, body, attempts, reason, detail) \
             VALUES ('tbx.events', 'tbx.worker', '{}', '{}', '{}', convert_to('{}', 'UTF8'), 5, 'rejected', 'no')",
            event.id(),
            event.topic(),
            quoted(&headers),
            quoted(body),
        ))
        .await;
    let mut admin = Client::new(worker.address("worker"));
    let letters = admin.get("/admin/dead-letters").await.unwrap().json();
    assert_eq!(letters["items"][0]["group"], "tbx.worker");
    let path = format!("/admin/dead-letters/{}/replay", letters["items"][0]["id"].as_str().unwrap());
    let replayed = admin.send(Method::POST, &path, &[], "".into()).await.unwrap();
    assert_eq!(replayed.json(), json!({ "outcome": "replayed" }));
    tbx_it::eventually("the worker has counted it", || async {
        let counted = places.database.count("SELECT updates FROM students").await;
        if counted == 1 { Ok(()) } else { Err(counted.to_string()) }
    })
    .await;

    // What the others get next is what comes next.
    created(&mut api.api(), &nth(2)).await;
    let delivery = within("the next event", auditing.next()).await.unwrap().unwrap();
    assert_ne!(delivery.message().id(), event.id());
    assert!(!delivery.message().is_replayed());
    delivery.ack().await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(300), auditing.next()).await;
    assert!(more.is_err(), "{more:?}");
    rabbit.close().await;
}
