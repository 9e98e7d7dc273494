//! What the tests of dead letters need: the command, and letters to look at.

use std::process::Output;

use serde_json::Value;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tbx_it::{Setup, within};

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs `dead-letters`.
pub(crate) async fn run(setup: &Setup, arguments: &[&str]) -> Ran {
    let mut command = setup.command(&[&["dead-letters"], arguments].concat());
    let Output { status, stdout, stderr } = within("the command ends", command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Students whose events the worker gave up: letter 1, 2, … each as if the outbox were done with it.
pub(crate) async fn given_up(count: u32) -> Setup {
    let setup = Setup::new();
    let seeded = setup.command(&["seed", "--count", &count.to_string()]).output().await.unwrap();
    assert!(seeded.status.success(), "{seeded:?}");
    let pool = database(&setup).await;
    for sql in [
        "INSERT INTO tbx_dead_letters (channel, consumer, message_id, topic, headers, body, attempts, reason, detail, died_at) \
         SELECT channel, 'tbx.worker', message_id, topic, headers, body, 5, 'attempts-exhausted', 'it failed' || char(27) || '[2J', 0 \
         FROM tbx_outbox ORDER BY id",
        "UPDATE tbx_outbox SET state = 2, done_at = 0",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    pool.close().await;
    setup
}

/// Has the database refuse that the second letter goes back into the outbox, and no other.
pub(crate) async fn forbid_second(setup: &Setup) {
    let pool = database(setup).await;
    let forbid = "CREATE TRIGGER test_forbids BEFORE INSERT ON tbx_outbox BEGIN \
        SELECT RAISE(ABORT, 'test_forbids') WHERE NEW.message_id = (SELECT message_id FROM tbx_dead_letters WHERE id = 2); END";
    sqlx::query(forbid).execute(&pool).await.unwrap();
    pool.close().await;
}

/// The database of a setup.
pub(crate) async fn database(setup: &Setup) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(setup.folder().join("data/tbx.db"));
    SqlitePool::connect_with(options).await.unwrap()
}
