//! `kill -9` of everything at random moments, under writes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tbx_it::{Client, Event, Resuming, Setup, Tbx, eventually, within};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::ledger::{Answered, is_change, verify};

const WRITERS: usize = 8;
/// How many writes are answered in each round before the kill, at least.
const WRITES: usize = 300;

/// How many rounds, by `TBX_TEST_FAULT_ROUNDS`.
fn rounds() -> usize {
    let rounds = std::env::var("TBX_TEST_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    rounds.unwrap_or(4)
}

/// A client that keeps every event it sees, and comes back by its last id after each kill.
struct Watcher {
    stream: Resuming,
    seen: Vec<Event>,
}

impl Watcher {
    /// Reads on until so many changes were seen in all.
    async fn follow(&mut self, tbx: &Tbx, wanted: usize) {
        let address = tbx.address("notifier");
        let mut changes = self.seen.iter().filter(|event| is_change(event)).count();
        within("the stream shows every answered write", async {
            while changes < wanted {
                if self.stream.connect(address).await.is_err() {
                    continue;
                }
                while changes < wanted
                    && let Some(event) = self.stream.next().await
                {
                    changes += usize::from(is_change(&event));
                    self.seen.push(event);
                }
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_write_reaches_a_resuming_client_once_and_in_order_whatever_is_killed() {
    let setup = Setup::new().with("TBX_LOG", "warn,tbx=info");
    let answered = Arc::new(Mutex::new(Answered::default()));
    let mut watcher =
        Watcher { stream: Resuming::new("/api/notifications/stream?topics=student.*"), seen: Vec::new() };
    let mut tbx = setup.start().await;
    watcher.stream.connect(tbx.address("notifier")).await.unwrap();
    let connected = within("connected", watcher.stream.next()).await.unwrap();
    assert_eq!(connected.event, "connected");

    for round in 0..rounds() {
        let goal = answered.lock().await.writes + fastrand::usize(WRITES..WRITES + 150);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(Client::new(tbx.address("api")), round, writer, Arc::clone(&answered)));
        }
        let reading = tokio::spawn(async move {
            while let Some(event) = watcher.stream.next().await {
                watcher.seen.push(event);
            }
            watcher
        });
        eventually("enough writes are answered", || async {
            let writes = answered.lock().await.writes;
            if writes >= goal { Ok(()) } else { Err(format!("{writes} of {goal}")) }
        })
        .await;
        // Any moment: a write, a relay, an append and a delivery are under way in each of them.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        tbx.kill().await;
        writers.join_all().await;
        watcher = within("the stream breaks", reading).await.unwrap();

        tbx = setup.start().await;
        resolve(&tbx, &answered).await;
    }

    let expected = answered.lock().await.versions.values().map(Vec::len).sum::<usize>();
    assert!(expected >= rounds() * WRITES, "{expected} writes were answered");
    at_rest(&tbx).await;
    let wanted = all_versions(&tbx, &answered).await;
    watcher.follow(&tbx, wanted).await;
    let answered = answered.lock().await;
    verify(&answered, &watcher.seen);
    println!("{} rounds, {} writes answered, {} events seen", rounds(), answered.writes, watcher.seen.len());
}

/// Creates students and changes them until the process is gone.
async fn write(mut api: Client, round: usize, writer: usize, answered: Arc<Mutex<Answered>>) {
    for number in 0.. {
        let email = format!("r{round}.w{writer}.n{number}@example.com");
        let student = json!({ "firstName": "Ada", "lastName": "Lovelace", "email": email });
        let Ok(answer) = api.json(http::Method::POST, "/api/students", &student).await else { return };
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        let created = answer.json();
        let id = created["id"].as_str().unwrap().to_owned();
        answered.lock().await.note(&id, 1, "StudentCreated");
        for version in 2..=fastrand::u64(1..6) {
            answered.lock().await.unsure.insert(id.clone(), version);
            let change = json!({ "lastName": format!("Version {version}") });
            let Ok(answer) = api.json(http::Method::PATCH, &format!("/api/students/{id}"), &change).await
            else {
                return;
            };
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            assert_eq!(answer.json()["version"], version);
            let mut answered = answered.lock().await;
            answered.note(&id, version, "StudentUpdated");
            answered.unsure.remove(&id);
        }
    }
}

/// A write that was not answered happened whole or not at all: learn which.
async fn resolve(tbx: &Tbx, answered: &Mutex<Answered>) {
    let mut answered = answered.lock().await;
    let mut api = tbx.api();
    for (id, version) in std::mem::take(&mut answered.unsure) {
        let answer = api.get(&format!("/api/students/{id}")).await.unwrap();
        assert_eq!(answer.status, 200);
        let student = answer.json();
        let stored = student["version"].as_u64().unwrap();
        let last_name = student["lastName"].as_str().unwrap();
        assert!(stored == version || stored == version - 1, "version {stored} where {version} was written");
        let expected = if stored == 1 { "Lovelace".to_owned() } else { format!("Version {stored}") };
        assert_eq!(last_name, expected, "a version and its values belong together");
        if stored == version {
            answered.versions.entry(id).or_default().push((version, "StudentUpdated"));
        }
    }
}

/// Waits until the worker has finished every event: `updates` equals `version` for every student there is.
async fn at_rest(tbx: &Tbx) {
    eventually("updates equals version for every student", || async {
        for student in students(tbx).await {
            if student["updates"] != student["version"] {
                return Err(student.to_string());
            }
        }
        Ok(())
    })
    .await;
}

async fn students(tbx: &Tbx) -> Vec<Value> {
    let (mut api, mut path, mut students) = (tbx.api(), "/api/students?limit=200".to_owned(), Vec::new());
    loop {
        let page = api.get(&path).await.unwrap().json();
        students.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => path = format!("/api/students?limit=200&cursor={next}"),
            None => return students,
        }
    }
}

/// How many events there must be: one for each version of each student, those of unanswered creations included.
async fn all_versions(tbx: &Tbx, answered: &Mutex<Answered>) -> usize {
    let students = students(tbx).await;
    let answered = answered.lock().await;
    for (id, versions) in &answered.versions {
        let stored = students.iter().find(|student| student["id"] == id.as_str());
        let stored = stored.unwrap_or_else(|| panic!("student {id} was answered with 201 and is gone"));
        assert_eq!(stored["version"].as_u64(), versions.iter().map(|(version, _)| *version).max());
    }
    students.iter().map(|student| usize::try_from(student["version"].as_u64().unwrap()).unwrap()).sum()
}
