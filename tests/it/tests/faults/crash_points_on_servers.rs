//! One test for each row about servers of `docs/CRASH_POINTS.md`: the process ends right there, the real hosts start on what is left.

use std::os::unix::process::ExitStatusExt;

use tbx_it::{Client, Places, binary, eventually, within};

use crate::crash_points::notified_before;

const ABORT: i32 = 6;

/// Ends a process at `point` while a student is enrolled, then starts the hosts. Whatever the point, a student that was committed is notified once and
/// counted once, and nothing is left over.
async fn ends_at(point: &str, committed: bool) {
    let places = Places::new().await;
    let setup = places.migrated().await;
    assert!(binary("tbx-crash-at").exists());
    let mut command = setup.command_of("tbx-crash-at", &[point, "Noether", "Crash"]);
    let status = within("the process ends", command.status()).await.unwrap();
    assert_eq!(status.signal(), Some(ABORT), "it was to end at {point}");

    let (api, notifier) = (setup.start_host("api").await, setup.start_host("notifier").await);
    let _worker = setup.start_host("worker").await;
    let wanted = if committed { vec!["Crash", "Noether"] } else { vec!["Noether"] };
    eventually("everything committed is worked off", || async {
        let page = Client::new(api.address("api")).get("/api/students").await.unwrap().json();
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
    eventually("nothing is left to publish", || async {
        match places.database.count("SELECT count(*) FROM tbx_outbox").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    })
    .await;
    // What was handed over is in the queue of the notifiers before the mark is.
    assert_eq!(notified_before(&notifier, 1).await, wanted);
    let letters =
        within("listing", setup.command(&["dead-letters", "list", "--json"]).output()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&letters.stdout).trim(), "[]");
}

macro_rules! crash_points {
    ($($name:ident: $point:literal, committed: $committed:literal;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                ends_at($point, $committed).await;
            }
        )+
    };
}

crash_points! {
    on_servers_ending_before_the_commit_leaves_nothing: "before-commit", committed: false;
    on_servers_ending_after_the_commit_loses_no_event: "after-commit", committed: true;
    on_servers_ending_after_the_claim_publishes_after_the_lease: "after-claim", committed: true;
    on_servers_ending_before_the_confirmation_publishes_after_the_lease: "after-publish", committed: true;
    on_servers_ending_between_confirmation_and_settlement_repeats_without_effect: "after-confirm", committed: true;
    on_servers_ending_in_the_handler_hands_the_event_to_another_worker: "in-handler", committed: true;
    on_servers_ending_between_the_workers_commit_and_its_acknowledgement_repeats_without_effect: "after-worker-commit", committed: true;
    on_servers_ending_before_the_append_hands_the_notification_to_another_notifier: "before-history-append", committed: true;
    on_servers_ending_between_append_and_acknowledgement_notifies_once: "after-history-append", committed: true;
}
