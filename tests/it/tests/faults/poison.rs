//! A message that ends the process each time it is handled.

use std::os::unix::process::ExitStatusExt;

use tbx_it::{Setup, binary, eventually, within};

const ABORT: i32 = 6;

#[tokio::test]
async fn a_message_that_ends_the_process_becomes_a_dead_letter_and_the_rest_flows() {
    let setup = Setup::new();
    let names = ["Noether", "Hopper", "Crash", "Lovelace", "Liskov"];
    let mut aborts = 0;
    loop {
        let mut command = tokio::process::Command::new(binary("tbx-crash-at"));
        command
            .arg("in-handler")
            .args(if aborts == 0 { &names[..] } else { &[] })
            .current_dir(setup.folder());
        let status = within("the process ends", command.kill_on_drop(true).status()).await.unwrap();
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(ABORT));
        aborts += 1;
        assert!(aborts <= 10, "it never ends");
    }
    assert_eq!(aborts, 5, "as often as it may be tried");

    let letters = super::crash_points::dead_letters(&setup).await;
    let [(reason, attempts, body)] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((reason.as_str(), *attempts), ("crashed", 5));
    assert!(body.contains("Crash"), "{body}");

    // In the real binary the rest has flowed, and what comes next flows.
    let tbx = setup.start().await;
    let mut stream = tbx.stream("/api/notifications/stream?topics=student.created&from=oldest", None).await;
    let mut seen = Vec::new();
    while seen.len() < names.len() - 1 {
        let event = within("the others were notified", stream.next()).await.unwrap();
        if event.event == "StudentCreated" {
            seen.push(event.json()["student"]["lastName"].as_str().unwrap().to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, ["Hopper", "Liskov", "Lovelace", "Noether"]);
    let mut api = tbx.api();
    let listed = api.get("/api/students").await.unwrap().json();
    for student in listed["items"].as_array().unwrap() {
        let counted = u64::from(student["lastName"] != "Crash");
        assert_eq!(student["updates"], counted, "{student}");
    }
    let body = serde_json::json!({ "firstName": "New", "lastName": "One", "email": "new@example.com" });
    let created = api.json(http::Method::POST, "/api/students", &body).await.unwrap().json();
    let path = format!("/api/students/{}", created["id"].as_str().unwrap());
    eventually("a new student is worked off", || async {
        let student = tbx.api().get(&path).await.unwrap().json();
        if student["updates"] == 1 { Ok(()) } else { Err(student.to_string()) }
    })
    .await;
}
