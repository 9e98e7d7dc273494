//! Signals, in a process of their own: this very program, run for one test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tbx_service::ShutdownSignal;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "TBX_TEST_SHUTDOWN_CHILD";

#[test]
fn the_first_signal_asks_and_the_second_ends() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shutdown::child", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_for = |word: &str| lines.any(|line| line.unwrap().ends_with(word));
    assert!(wait_for("listening"));
    signal(&child, "TERM");
    assert!(wait_for("asked by SIGTERM"));
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Does nothing unless it is the child.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // The handlers are in place after the first poll, and only then the parent is told.
    let signal = tokio::select! {
        biased;
        signal = ShutdownSignal::listen() => signal.unwrap(),
        () = async { println!("listening"); std::future::pending().await } => return,
    };
    println!("asked by {}", signal.name());
    CancellationToken::new().cancelled().await;
}
