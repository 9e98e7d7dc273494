//! One test for each row of `docs/CRASH_POINTS.md`: the process ends right there, the real binary starts on what is left.

use std::os::unix::process::ExitStatusExt;

use sqlx::Row;
use tbx_it::{Setup, binary, eventually, within};

const ABORT: i32 = 6;

/// The dead letters in the database: reason, attempts, body.
pub(crate) async fn dead_letters(setup: &Setup) -> Vec<(String, i64, String)> {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(setup.folder().join("data/tbx.db"))
        .read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let rows = sqlx::query("SELECT reason, attempts, CAST(body AS TEXT) FROM tbx_dead_letters")
        .fetch_all(&pool)
        .await
        .unwrap();
    pool.close().await;
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Ends a process at `point` while a student is enrolled, then starts the real binary on what is left. Whatever the point, a student that was
/// committed is notified once and counted once, and nothing is dead-lettered.
async fn ends_at(point: &str, committed: bool) {
    let setup = Setup::new();
    let mut command = tokio::process::Command::new(binary("tbx-crash-at"));
    command.args([point, "Noether", "Crash"]).current_dir(setup.folder()).kill_on_drop(true);
    let status = within("the process ends", command.status()).await.unwrap();
    assert_eq!(status.signal(), Some(ABORT), "it was to end at {point}");

    let wanted = if committed { vec!["Crash", "Noether"] } else { vec!["Noether"] };
    let tbx = setup.start().await;
    eventually("everything committed is worked off", || async {
        let page = tbx.api().get("/api/students").await.unwrap().json();
        let mut names: Vec<_> = Vec::new();
        for student in page["items"].as_array().unwrap() {
            if student["updates"] != student["version"] {
                return Err(student.to_string());
            }
            names.push(student["lastName"].as_str().unwrap().to_owned());
        }
        names.sort();
        assert_eq!(names, wanted);
        Ok(())
    })
    .await;

    let mut marks = 0;
    eventually("each student is notified", || {
        marks += 1;
        let (tbx, wanted, mark) = (&tbx, &wanted, marks);
        async move {
            let names = notified_before(tbx, mark).await;
            assert!(names.len() <= wanted.len(), "each once: {names:?}");
            if names == *wanted { Ok(()) } else { Err(format!("{names:?}")) }
        }
    })
    .await;
    drop(tbx);
    assert!(dead_letters(&setup).await.is_empty());
}

/// The students of the `StudentCreated` notifications before a mark of our own: all there are so far.
pub(crate) async fn notified_before(tbx: &tbx_it::Tbx, mark: u64) -> Vec<String> {
    let body = serde_json::json!({ "topic": "test.mark", "event": "Mark", "data": mark });
    let answer = tbx.notifier().json(http::Method::POST, "/api/notifications", &body).await.unwrap();
    assert_eq!(answer.status, 202);
    let mut stream =
        tbx.stream("/api/notifications/stream?topics=student.created,test.mark&from=oldest", None).await;
    let mut names = Vec::new();
    loop {
        let event = within("the stream goes on to the mark", stream.next()).await.unwrap();
        match event.event.as_str() {
            "StudentCreated" => names.push(event.json()["student"]["lastName"].as_str().unwrap().to_owned()),
            "Mark" if event.data == mark.to_string() => {
                names.sort();
                return names;
            }
            _ => {}
        }
    }
}

macro_rules! crash_points {
    ($($name:ident: $point:literal, committed: $committed:literal;)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                ends_at($point, $committed).await;
            }
        )+
    };
}

crash_points! {
    ending_before_the_commit_leaves_nothing: "before-commit", committed: false;
    ending_after_the_commit_loses_no_event: "after-commit", committed: true;
    ending_after_the_claim_publishes_the_message_again: "after-claim", committed: true;
    ending_in_the_handler_works_the_event_off_again: "in-handler", committed: true;
    ending_after_the_workers_commit_counts_and_notifies_once: "after-worker-commit", committed: true;
    ending_before_the_append_notifies_after_the_start: "before-history-append", committed: true;
    ending_after_the_append_notifies_once: "after-history-append", committed: true;
    ending_after_the_acknowledgement_repeats_without_effect: "after-ack", committed: true;
}
