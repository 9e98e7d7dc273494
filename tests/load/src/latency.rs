//! From the POST to the bytes of its event, in the real binary.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tbx_it::{Client, Setup, within};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::report::{Report, percentile};
use crate::runtime;

const RUNS: usize = 3;
const PER_SECOND: u64 = 200;
const SECONDS: u64 = 30;
const CONNECTIONS: u64 = 16;
/// The first seconds warm caches up and do not count.
const WARM_UP: u64 = 2;

pub(crate) fn run(report: &mut Report) {
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let timeline = runtime().block_on(measure());
        describe(&timeline);
        let mut latencies: Vec<f64> = timeline.into_iter().map(|(_, latency)| latency).collect();
        latencies.sort_by(f64::total_cmp);
        medians.push(percentile(&latencies, 0.50));
        tails.push(percentile(&latencies, 0.99));
    }
    report.at_most("POST to event, 200/s for 30 s, p50", "ms", 5.0, medians);
    report.at_most("POST to event, 200/s for 30 s, p99", "ms", 25.0, tails);
}

/// Tells a stall of the machine, which is one moment, from a slow road, which is all of them.
fn describe(timeline: &[(f64, f64)]) {
    let slow: Vec<_> = timeline.iter().filter(|(_, latency)| *latency > 25.0).collect();
    let seconds: std::collections::BTreeSet<u64> = slow.iter().map(|(second, _)| *second as u64).collect();
    let worst = timeline.iter().map(|(_, latency)| *latency).fold(0.0, f64::max);
    println!(
        "       {} of {} over 25 ms, in the seconds {seconds:?}, the worst {worst:.0} ms",
        slow.len(),
        timeline.len()
    );
}

/// The second each write was due in, and the milliseconds to its event. Open loop: a write is due at its time, and waiting for the one before counts.
async fn measure() -> Vec<(f64, f64)> {
    let setup = Setup::new().with("TBX_LOG", "warn,tbx=info");
    let tbx = setup.start().await;
    let mut stream = tbx.stream("/api/notifications/stream?topics=student.created", None).await;
    within("connected", stream.next()).await.unwrap();
    let due = Arc::new(Mutex::new(HashMap::new()));
    let total = PER_SECOND * (SECONDS + WARM_UP);
    let begin = Instant::now() + Duration::from_millis(100);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..CONNECTIONS {
        writers.spawn(write(tbx.api(), writer, total, begin, Arc::clone(&due)));
    }
    let mut arrivals = HashMap::new();
    let reading = async {
        while arrivals.len() < usize::try_from(total).unwrap() {
            let event = stream.next().await.expect("the stream goes on");
            let now = Instant::now();
            if event.event == "StudentCreated" {
                let body = event.json();
                arrivals.insert(body["student"]["email"].as_str().unwrap().to_owned(), now);
            }
        }
    };
    let patience = Duration::from_secs(SECONDS + WARM_UP + 30);
    tokio::time::timeout(patience, reading).await.expect("every event arrives");
    writers.join_all().await;
    let due = due.lock().await;
    let counts = |due: &Instant| *due >= begin + Duration::from_secs(WARM_UP);
    due.iter()
        .filter(|(_, due)| counts(due))
        .map(|(email, due)| {
            let latency = arrivals[email].duration_since(*due).as_secs_f64() * 1e3;
            (due.duration_since(begin).as_secs_f64(), latency)
        })
        .collect()
}

async fn write(
    mut api: Client,
    writer: u64,
    total: u64,
    begin: Instant,
    due: Arc<Mutex<HashMap<String, Instant>>>,
) {
    for number in (writer..total).step_by(usize::try_from(CONNECTIONS).unwrap()) {
        let at = begin + Duration::from_micros(number * 1_000_000 / PER_SECOND);
        tokio::time::sleep_until(at).await;
        let email = format!("n{number}@example.com");
        due.lock().await.insert(email.clone(), at);
        let student = json!({ "firstName": "Ada", "lastName": "Lovelace", "email": email });
        let answer = api.json(Method::POST, "/api/students", &student).await.unwrap();
        assert_eq!(answer.status, 201);
    }
}
