//! Servers that a test may end: RabbitMQ, Redis and PostgreSQL of its own, by `tests/services/server`.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

/// How long the script may take: longer than it waits itself, three times a minute at most, so that it can say what it waited for.
const PATIENCE: Duration = Duration::from_secs(200);

/// One of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// RabbitMQ.
    RabbitMq,
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgres,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RabbitMq, Self::Redis, Self::Postgres];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

/// The servers in the folder `TBX_TEST_FAULT_SERVERS`, which nobody else uses, held by one test at a time.
#[derive(Debug)]
pub struct Servers {
    folder: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

impl Servers {
    /// Waits for its turn. All of them run, unless a test before it failed half-way.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub async fn take() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let folder = std::env::var_os("TBX_TEST_FAULT_SERVERS").expect(
            "TBX_TEST_FAULT_SERVERS is not set: run `tests/services/up FOLDER` without any TBX_TEST_…_URL and name the folder, or run \
             `./tests/run faults`, which does it",
        );
        Self { folder: folder.into(), _alone: alone }
    }

    /// Ends one with `kill -9`, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn kill(&self, server: Server) {
        self.run(server, "kill").await;
    }

    /// Asks one to end, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn stop(&self, server: Server) {
        self.run(server, "stop").await;
    }

    /// Starts one again, with its data and at its port, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn start(&self, server: Server) {
        self.run(server, "start").await;
    }

    /// Raises the memory alarm of RabbitMQ, which blocks publishers.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn raise_alarm(&self) {
        self.run(Server::RabbitMq, "alarm").await;
    }

    /// Ends the memory alarm of RabbitMQ.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn end_alarm(&self) {
        self.run(Server::RabbitMq, "clear").await;
    }

    /// Where a server is: its URL.
    ///
    /// # Panics
    ///
    /// When that cannot be found out.
    pub async fn url(&self, server: Server) -> String {
        self.run(server, "url").await
    }

    /// Where the management API of RabbitMQ is.
    ///
    /// # Panics
    ///
    /// When that cannot be found out.
    pub async fn management_url(&self) -> String {
        self.run(Server::RabbitMq, "management").await
    }

    async fn run(&self, server: Server, action: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../services/server");
        let mut command = Command::new(script);
        command.arg(server.name()).arg(action).arg(self.folder.join(server.name())).kill_on_drop(true);
        // Into files: the server that it starts keeps what it inherits, so the end of a pipe cannot be waited for.
        let (answer, said) = (self.note(server, "answer"), self.note(server, "said"));
        command.stdout(File::create(&answer).unwrap()).stderr(File::create(&said).unwrap());
        let status = tokio::time::timeout(PATIENCE, command.status()).await;
        let said = std::fs::read_to_string(said).unwrap();
        let Ok(status) = status else {
            panic!("{} {action}: not within {PATIENCE:?}\n{said}", server.name())
        };
        let status = status.unwrap();
        assert!(status.success(), "{} {action}: {status}\n{said}", server.name());
        std::fs::read_to_string(answer).unwrap().trim().to_owned()
    }

    fn note(&self, server: Server, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", server.name()))
    }
}
