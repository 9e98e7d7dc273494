//! Writers and clients that come back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Client, Event, Resuming, eventually, within};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::system::{Addresses, System};
use crate::ledger::{Answered, is_change, verify};

const WRITERS: u64 = 10;
const WATCHERS: usize = 4;
const STREAM: &str = "/api/notifications/stream?topics=student.*";

/// How long everything may take to flow again. Longer than any lease, timeout and backoff of the hosts.
const PATIENCE: Duration = Duration::from_secs(90);
/// A client waits this long before it comes back.
const COMING_BACK: Duration = Duration::from_millis(50);

/// What goes on while faults happen.
pub(super) struct Traffic {
    addresses: Addresses,
    answered: Arc<Mutex<Answered>>,
    refused: Arc<AtomicUsize>,
    hurry: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    writers: JoinSet<()>,
    watchers: Vec<Watcher>,
}

/// A client that keeps every event it sees, and comes back by its last id, to another notifier each time.
struct Watcher {
    seen: Arc<std::sync::Mutex<Vec<Event>>>,
    _task: Aborting,
}

struct Aborting(tokio::task::JoinHandle<()>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What was written and seen.
pub(super) struct Told {
    answered: usize,
    refused: usize,
    seen: usize,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, refused, seen } = self;
        write!(
            f,
            "{answered} writes answered, {refused} not, {seen} events seen by each of {WATCHERS} clients"
        )
    }
}

impl Traffic {
    /// At most so many writes a second in all.
    pub(super) fn start_with(addresses: Addresses, per_second: u64) -> Self {
        let (answered, refused, hurry, stop) =
            (Arc::default(), Arc::default(), Arc::<AtomicBool>::default(), Arc::default());
        let watchers = (0..WATCHERS).map(|number| Watcher::start(addresses.clone(), number)).collect();
        let mut writers = JoinSet::new();
        let pause = Duration::from_millis(1_000 * WRITERS / per_second);
        for number in 0..WRITERS {
            let (addresses, answered) = (addresses.clone(), Arc::clone(&answered));
            let (refused, hurry, stop) = (Arc::clone(&refused), Arc::clone(&hurry), Arc::clone(&stop));
            let turn = usize::try_from(number).unwrap();
            writers.spawn(Writer { number, turn, pause, addresses, answered, refused, hurry, stop }.run());
        }
        Self { addresses, answered, refused, hurry, stop, writers, watchers }
    }

    /// Waits until so many writes were answered.
    pub(super) async fn reaches(&self, writes: usize) {
        eventually("enough writes are answered", || async {
            let answered = self.answered.lock().await.writes;
            if answered >= writes { Ok(()) } else { Err(format!("{answered} of {writes}")) }
        })
        .await;
    }

    /// Lets the writers write as fast as they are answered, as after an outage, until so many writes were answered.
    pub(super) async fn hurries_to(&self, writes: usize) {
        self.hurry.store(true, Ordering::SeqCst);
        self.reaches(writes).await;
        self.hurry.store(false, Ordering::SeqCst);
    }

    /// How long it takes from now until a write is answered and every client has seen it.
    pub(super) async fn recovers(&self) -> Duration {
        let begin = Instant::now();
        let email =
            format!("probe{}@example.com", begin.elapsed().as_nanos() + u128::from(fastrand::u64(..)));
        let student = json!({ "firstName": "Probe", "lastName": "Lovelace", "email": email });
        let mut turn = 0;
        let answered = async {
            loop {
                turn += 1;
                if let Some(address) = self.addresses.pick("api", turn) {
                    let mut api = Client::new(address);
                    match api.json(Method::POST, "/api/students", &student).await {
                        // Taken already: by an attempt that was carried out and not answered.
                        Ok(answer) if [201, 409].contains(&answer.status) => return,
                        Ok(answer) => assert!(answer.status >= 500, "{answer:?}"),
                        Err(_) => {}
                    }
                }
                tokio::time::sleep(COMING_BACK).await;
            }
        };
        patiently("a write is answered again", answered).await;
        for watcher in &self.watchers {
            patiently("a client sees a write again", async {
                while !watcher.has_seen(&email) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
        }
        begin.elapsed()
    }

    /// Ends the writers, waits until everything has come to rest, and compares.
    pub(super) async fn finish(mut self, system: &System) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        within("the writers end", async { while self.writers.join_next().await.is_some() {} }).await;
        let students = self.at_rest().await;
        self.reads_agree(&students).await;
        let mut answered = self.answered.lock().await;
        resolve(&mut answered, &students);
        let wanted: usize = students.values().map(|version| usize::try_from(*version).unwrap()).sum();
        for (number, watcher) in self.watchers.iter().enumerate() {
            patiently("every client sees every version", async {
                while watcher.changes() < wanted {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            let seen = watcher.seen.lock().unwrap().clone();
            println!("       client {number} has seen {} events", seen.len());
            verify(&answered, &seen);
        }
        eventually("nothing is left in the outbox", || async {
            match system.database.count("SELECT count(*) FROM tbx_outbox").await {
                0 => Ok(()),
                left => Err(format!("{left} rows")),
            }
        })
        .await;
        assert_eq!(
            system.database.count("SELECT count(*) FROM tbx_dead_letters").await,
            0,
            "nothing was given up"
        );
        Told { answered: answered.writes, refused: self.refused.load(Ordering::SeqCst), seen: wanted }
    }

    /// The version of each student, once the worker has finished every event: `updates` equals `version` for each.
    async fn at_rest(&self) -> BTreeMap<String, u64> {
        let begin = Instant::now();
        loop {
            let waiting = match self.students().await {
                Ok(students) => {
                    match students.iter().find(|student| student["updates"] != student["version"]) {
                        None => return versions(&students),
                        Some(student) => student.to_string(),
                    }
                }
                Err(error) => error,
            };
            assert!(begin.elapsed() < PATIENCE, "updates does not come to equal version: {waiting}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Each student, read one by one and through the cache, has the version that the list has, at every api.
    async fn reads_agree(&self, students: &BTreeMap<String, u64>) {
        for address in self.addresses.all("api") {
            // Moments after an outage, one that could not write may not have made up for it yet.
            eventually("nothing stale is read", || async {
                let mut api = Client::new(address);
                for (id, version) in students {
                    let answer = api.get(&format!("/api/students/{id}")).await;
                    let answer = answer.map_err(|error| error.to_string())?;
                    if answer.status != 200 || answer.json()["version"] != *version {
                        return Err(format!("version {version} is stored, read at {address}: {answer:?}"));
                    }
                }
                Ok(())
            })
            .await;
        }
    }

    async fn students(&self) -> Result<Vec<Value>, String> {
        let address = self.addresses.pick("api", 0).ok_or("no api runs")?;
        let (mut api, mut path, mut students) =
            (Client::new(address), "/api/students?limit=200".to_owned(), Vec::new());
        loop {
            let page = api.get(&path).await.map_err(|error| error.to_string())?;
            if page.status != 200 {
                return Err(format!("{page:?}"));
            }
            let page = page.json();
            students.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => path = format!("/api/students?limit=200&cursor={next}"),
                None => return Ok(students),
            }
        }
    }
}

fn versions(students: &[Value]) -> BTreeMap<String, u64> {
    let version =
        |student: &Value| (student["id"].as_str().unwrap().to_owned(), student["version"].as_u64().unwrap());
    students.iter().map(version).collect()
}

/// A write that was not answered happened whole or not at all; what was answered is there.
fn resolve(answered: &mut Answered, students: &BTreeMap<String, u64>) {
    for (id, version) in std::mem::take(&mut answered.unsure) {
        if students[&id] == version {
            answered.versions.entry(id).or_default().push((version, "StudentUpdated"));
        }
    }
    for (id, versions) in &answered.versions {
        let stored =
            students.get(id).unwrap_or_else(|| panic!("student {id} was answered with 201 and is gone"));
        assert_eq!(Some(*stored), versions.iter().map(|(version, _)| *version).max(), "student {id}");
    }
}

async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

impl Watcher {
    fn start(addresses: Addresses, number: usize) -> Self {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keeping = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut stream = Resuming::new(STREAM);
            for turn in number.. {
                if let Some(address) = addresses.pick("notifier", turn)
                    && stream.connect(address).await.is_ok()
                {
                    while let Some(event) = stream.next().await {
                        keeping.lock().unwrap().push(event);
                    }
                }
                tokio::time::sleep(COMING_BACK).await;
            }
        });
        Self { seen, _task: Aborting(task) }
    }

    fn has_seen(&self, email: &str) -> bool {
        self.seen.lock().unwrap().iter().rev().any(|event| event.data.contains(email))
    }

    fn changes(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|event| is_change(event)).count()
    }
}

/// Creates students and changes them. A student whose change was not answered it leaves alone: the change may still happen.
struct Writer {
    number: u64,
    turn: usize,
    pause: Duration,
    addresses: Addresses,
    answered: Arc<Mutex<Answered>>,
    refused: Arc<AtomicUsize>,
    hurry: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for student in 0.. {
            let email = format!("w{}.n{student}@example.com", self.number);
            let body = json!({ "firstName": "Ada", "lastName": "Lovelace", "email": email });
            let mut id = None;
            for version in 1..=fastrand::u64(1..8) {
                if !self.hurry.load(Ordering::SeqCst) {
                    ticks.tick().await;
                }
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                let change = json!({ "lastName": format!("Version {version}") });
                let (method, path, body) = match &id {
                    None => (Method::POST, "/api/students".to_owned(), &body),
                    Some(id) => (Method::PATCH, format!("/api/students/{id}"), &change),
                };
                let event = if id.is_none() { "StudentCreated" } else { "StudentUpdated" };
                let Some(stored) = self.write(method, &path, body).await else {
                    if let Some(id) = id {
                        self.answered.lock().await.unsure.insert(id, version);
                    }
                    break;
                };
                assert_eq!(stored["version"], version, "{stored}");
                let known = stored["id"].as_str().unwrap().to_owned();
                self.answered.lock().await.note(&known, version, event);
                id = Some(known);
            }
        }
    }

    /// The student as stored; `None` without an answer.
    async fn write(&mut self, method: Method, path: &str, body: &Value) -> Option<Value> {
        // Each write by another api, so that the versions of a student come from both.
        self.turn += 1;
        if let Some(address) = self.addresses.pick("api", self.turn) {
            match Client::new(address).json(method, path, body).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Some(answer.json()),
                Ok(answer) => assert!(answer.status >= 500, "{path}: {answer:?}"),
                Err(_) => {}
            }
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        None
    }
}
