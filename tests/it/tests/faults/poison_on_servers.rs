//! Messages that end or fail each worker that handles them, on real servers with two workers, beside the real api and notifier.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tbx_it::{Client, Places, Setup, Tbx, eventually, within};
use tokio_util::task::AbortOnDropHandle;

/// How long a student may take to be worked off while the workers are in trouble: a worker takes over, and the next one starts.
const FLOWING: Duration = Duration::from_secs(30);

/// A worker that is started again whenever it ends, as by whoever looks after processes.
fn keep_running(setup: &Setup, point: &'static str) -> AbortOnDropHandle<()> {
    let setup = setup.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            // Dropped with the task, it is killed.
            let ended =
                setup.command_of("tbx-crash-at", &[point]).stderr(std::process::Stdio::null()).status();
            ended.await.unwrap();
        }
    }))
}

async fn create(api: &Tbx, name: &str) -> Value {
    let body = json!({ "firstName": "Ada", "lastName": name, "email": format!("{name}@example.org") });
    let created = api.api().json(http::Method::POST, "/api/students", &body).await.unwrap();
    assert_eq!(created.status, 201, "{created:?}");
    created.json()
}

async fn is_worked_off(api: &Tbx, student: &Value) {
    let path = format!("/api/students/{}", student["id"].as_str().unwrap());
    eventually("it is worked off", || async {
        let student = Client::new(api.address("api")).get(&path).await.unwrap().json();
        if student["updates"] == 1 { Ok(()) } else { Err(student.to_string()) }
    })
    .await;
}

async fn letters(setup: &Setup) -> Vec<Value> {
    let mut command = setup.command(&["dead-letters", "list", "--json"]);
    let output = within("listing", command.output()).await.unwrap();
    serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().clone()
}

/// Two workers that `point` makes fail on one student, until it is given up; meanwhile others flow, and with workers that are mended a replay has its
/// effect once.
async fn is_given_up(point: &'static str, reason: &str, attempts: u64) {
    let places = Places::new().await;
    let setup = places.migrated().await;
    let (api, notifier) = (setup.start_host("api").await, setup.start_host("notifier").await);
    let failing = [keep_running(&setup, point), keep_running(&setup, point)];
    let poison = create(&api, "Crash").await;
    let mut n = 0;
    let letter = loop {
        let began = Instant::now();
        is_worked_off(&api, &create(&api, &format!("Other{n}")).await).await;
        assert!(began.elapsed() < FLOWING, "Other{n} took {:?}", began.elapsed());
        n += 1;
        match letters(&setup).await.as_slice() {
            [] => assert!(n < 1_000, "it is never given up"),
            [letter] => break letter.clone(),
            more => panic!("others are given up with it: {more:?}"),
        }
    };
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!(reason), &json!(attempts)), "{letter}");
    assert_eq!((&letter["group"], &letter["type"]), (&json!("tbx.worker"), &json!("StudentCreated")));
    drop(failing);

    let _mended = [setup.start_host("worker").await, setup.start_host("worker").await];
    let id = letter["id"].as_str().unwrap();
    let replayed =
        within("replaying", setup.command(&["dead-letters", "replay", id]).output()).await.unwrap();
    assert!(replayed.status.success(), "{replayed:?}");
    is_worked_off(&api, &poison).await;
    // What the workers that have ended had not published yet waits for their leases to run out.
    eventually("nothing is left to publish", || async {
        match places.database.count("SELECT count(*) FROM tbx_outbox").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    })
    .await;
    let mark = create(&api, "Mark").await;
    let mut stream =
        notifier.stream("/api/notifications/stream?topics=student.created&from=oldest", None).await;
    let mut told = Vec::new();
    while told.last() != Some(&mark["id"]) {
        let event = within("the stream goes on to the mark", stream.next()).await.unwrap();
        if event.event == "StudentCreated" {
            told.push(event.json()["student"]["id"].clone());
        }
    }
    assert_eq!(told.len(), n + 2, "each is told once");
    assert_eq!(told.iter().filter(|id| **id == poison["id"]).count(), 1);
    assert!(letters(&setup).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_servers_a_message_that_ends_its_worker_becomes_a_dead_letter_and_the_rest_flows() {
    is_given_up("in-handler", "delivery-limit", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_servers_a_message_that_fails_becomes_a_dead_letter_after_its_attempts_and_the_rest_flows() {
    is_given_up("failing", "attempts-exhausted", 5).await;
}
