//! `dead-letters`: looking at what was given up, and deciding.

use serde_json::json;
use tbx_it::{Setup, eventually};

use crate::letters::{forbid_second, given_up, run};
use crate::support::STUDENTS;

#[tokio::test]
async fn letters_are_listed_and_shown_for_people_and_for_programs() {
    let setup = given_up(2).await;
    let list = run(&setup, &["list"]).await;
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = list.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", list.stdout);
    assert!(lines[0].starts_with("ID  DIED AT"), "{}", lines[0]);
    for text in
        ["1970-01-01T00:00:00.000Z", "tbx.events", "tbx.worker", "student.created", "5", "attempts-exhausted"]
    {
        assert!(lines[1].contains(text), "{text}: {}", lines[1]);
    }
    assert!(!list.stdout.contains('\u{1b}'), "what a message says cannot steer the terminal");

    let listed = run(&setup, &["list", "--json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((&listed[1]["id"], &listed[1]["group"]), (&json!("2"), &json!("tbx.worker")));
    let shown = run(&setup, &["show", "2"]).await;
    assert!(
        shown.stdout.contains("student.created") && shown.stdout.contains("lastName"),
        "{}",
        shown.stdout
    );
    let shown = run(&setup, &["--json", "show", "2"]).await.json();
    assert_eq!((&shown["type"], &shown["body"]["student"]["number"]), (&json!("StudentCreated"), &json!(2)));

    let absent = run(&setup, &["show", "7"]).await;
    assert_eq!((absent.code, absent.stdout.as_str()), (Some(1), ""));
    assert!(absent.stderr.contains("there is no dead letter 7"), "{}", absent.stderr);
}

#[tokio::test]
async fn a_replayed_letter_is_worked_off_and_a_dropped_one_is_gone() {
    let setup = given_up(3).await;
    let replayed = run(&setup, &["replay", "1", "9"]).await;
    assert_eq!(replayed.code, Some(1), "one of them is absent: {}", replayed.stdout);
    assert!(
        replayed.stdout.starts_with("1: put back") && replayed.stdout.contains("\n9: there is no"),
        "{}",
        replayed.stdout
    );
    assert!(replayed.stderr.contains("1 of 2"), "{}", replayed.stderr);
    let dropped = run(&setup, &["drop", "2", "--json"]).await;
    assert_eq!((dropped.code, dropped.json()), (Some(0), json!([{ "id": "2", "outcome": "dropped" }])));
    let replayed = run(&setup, &["replay", "--all", "--json"]).await;
    assert_eq!((replayed.code, replayed.json()), (Some(0), json!([{ "id": "3", "outcome": "replayed" }])));
    assert_eq!(run(&setup, &["list"]).await.stdout, "There are no dead letters.\n");
    assert_eq!(run(&setup, &["replay", "--all"]).await.code, Some(0), "nothing to do is no failure");

    let tbx = setup.start().await;
    eventually("what was replayed is worked off", || async {
        let page = tbx.api().get(STUDENTS).await.unwrap().json();
        let updates: Vec<_> =
            page["items"].as_array().unwrap().iter().map(|student| student["updates"].clone()).collect();
        if updates == [json!(1), json!(0), json!(1)] { Ok(()) } else { Err(format!("{updates:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_letter_that_cannot_be_replayed_keeps_no_other_from_it() {
    let setup = given_up(3).await;
    forbid_second(&setup).await;
    let replayed = run(&setup, &["replay", "--all"]).await;
    assert_eq!(replayed.code, Some(1), "{}", replayed.stdout);
    let lines: Vec<&str> = replayed.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", replayed.stdout);
    for (line, told) in
        lines.iter().zip(["1: put back", "2: a rule of the database forbids it", "3: put back"])
    {
        assert!(line.starts_with(told), "{told}: {}", replayed.stdout);
    }
    assert!(replayed.stderr.contains("1 of 3 dead letters were not replayed"), "{}", replayed.stderr);
    let left = run(&setup, &["list", "--json"]).await.json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!("2")));
}

#[tokio::test]
async fn beside_a_running_process_letters_can_be_seen_but_not_decided_on() {
    let setup = given_up(1).await;
    let _running = setup.start().await;
    assert_eq!(run(&setup, &["list", "--json"]).await.json()[0]["id"], "1");
    assert_eq!(run(&setup, &["show", "1"]).await.code, Some(0));
    for arguments in [&["replay", "1"][..], &["replay", "--all"], &["drop", "1"]] {
        let refused = run(&setup, arguments).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        let stderr = refused.stderr;
        assert!(
            stderr.contains("tbx.db") && stderr.contains("stop the other process"),
            "{arguments:?}: {stderr}"
        );
    }
    assert_eq!(run(&setup, &["list", "--json"]).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_use_is_told_and_nothing_is_created() {
    let setup = Setup::new();
    for arguments in
        [&[][..], &["replay"], &["drop"], &["show", "x"], &["replay", "--all", "1"], &["revive", "1"]]
    {
        assert_eq!(run(&setup, arguments).await.code, Some(2), "{arguments:?}");
    }
    let by_group = run(&setup, &["list", "--group", "tbx.worker"]).await;
    assert_eq!(by_group.code, Some(2), "{}", by_group.stderr);
    assert!(
        by_group.stderr.contains("--group") && by_group.stderr.contains("leave it out"),
        "{}",
        by_group.stderr
    );
    for arguments in [&["list"][..], &["replay", "--all"], &["drop", "1"]] {
        let absent = run(&setup, arguments).await;
        assert_eq!(absent.code, Some(1), "{arguments:?}");
        assert!(absent.stderr.contains("there is no data/tbx.db"), "{}", absent.stderr);
    }
    assert_eq!(std::fs::read_dir(setup.folder()).unwrap().count(), 0);
}
