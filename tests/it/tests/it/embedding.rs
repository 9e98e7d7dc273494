//! A crate of somebody else's that depends on tbx-notify.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use http::Method;
use serde_json::json;
use tbx_it::{Client, EventStream, eventually, within};
use tokio::process::Command;

const MOST_DEPENDENCIES: usize = 60;
const MOST_LINES: usize = 25;

const MANIFEST: &str = r#"
[package]
name = "somebody-elses"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
tbx-notify = { path = "TBX/tbx-notify", features = ["publish", "sse"] }
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
"#;

/// The program of the crate's front page, without the lines that its documentation hides.
fn front_page_program(root: &Path) -> String {
    let page = std::fs::read_to_string(root.join("tbx-notify/README.md")).unwrap();
    let program = page.split("```").nth(1).unwrap();
    let shown = program.lines().skip(1).filter(|line| !line.starts_with("# "));
    shown.map(|line| format!("{line}\n")).collect()
}

async fn cargo(folder: &Path, target: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", target).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The crates in the dependency tree of a package, itself left out.
async fn dependencies(folder: &Path, target: &Path) -> usize {
    let tree = cargo(folder, target, &["tree", "--offline", "-e", "normal", "--prefix", "none"]).await;
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: std::collections::BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    crates.len() - 1
}

#[tokio::test]
async fn the_program_of_the_front_page_serves_events_with_few_lines_and_few_dependencies() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let crate_of_somebody = tempfile::tempdir().unwrap();
    let folder = crate_of_somebody.path();
    // Kept between runs, beside what the workspace builds.
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("somebody-elses");
    // Held until the program is built, so that nobody else gets it.
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = place.local_addr().unwrap().port();
    let program = front_page_program(&root);
    assert!(program.lines().filter(|line| !line.is_empty()).count() <= MOST_LINES, "{program}");
    std::fs::create_dir(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), MANIFEST.replace("TBX", root.to_str().unwrap())).unwrap();
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    std::fs::write(folder.join("src/main.rs"), program.replace(":3000", &format!(":{port}"))).unwrap();

    cargo(folder, &target, &["build", "--offline"]).await;
    let count = dependencies(folder, &target).await;
    assert!(count <= MOST_DEPENDENCIES, "{count} dependencies");

    let program = target.join("debug/somebody-elses");
    drop(place);
    let _running = Command::new(program).kill_on_drop(true).stdin(Stdio::null()).spawn().unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let mut stream = eventually("the program answers", || async {
        EventStream::connect(address, "/stream?topics=order.*", None).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(within("connected", stream.next()).await.unwrap().event, "connected");
    let news = json!({ "topic": "order.placed", "event": "OrderPlaced", "data": { "order": 7 } });
    let answer = Client::new(address).json(Method::POST, "/publish", &news).await.unwrap();
    assert_eq!(answer.status, 202);
    let event = within("the event", stream.next()).await.unwrap();
    assert_eq!((event.event.as_str(), event.json()), ("OrderPlaced", json!({ "order": 7 })));
}
