//! The real binary as a process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::{Client, DEADLINE, EventStream, within};

/// The binary under test: the one in the folder `TBX_TEST_BINARIES`, or the one that was built beside this test.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("TBX_TEST_BINARIES") {
        return Path::new(&folder).join(name);
    }
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is missing: build it first with `cargo build --workspace --bins`",
        path.display()
    );
    path
}

/// How to start a process: its settings and its folder, which outlives it so that it can be started again. A clone is in the same folder.
#[derive(Debug, Clone)]
pub struct Setup {
    folder: Arc<TempDir>,
    settings: HashMap<String, String>,
}

impl Default for Setup {
    fn default() -> Self {
        let settings = [
            ("TBX_API_LISTEN", "127.0.0.1:0"),
            ("TBX_NOTIFIER_LISTEN", "127.0.0.1:0"),
            ("TBX_WORKER_LISTEN", "127.0.0.1:0"),
            ("TBX_LOG_FORMAT", "json"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), settings }
    }
}

impl Setup {
    /// An empty folder and free ports.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The working folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command of the binary `tbx` with these settings and no others.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of("tbx", arguments)
    }

    /// A command of one of the binaries with these settings and no others.
    #[must_use]
    pub fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(program));
        let inherited = std::env::vars()
            .filter(|(name, _)| name.starts_with("TBX_") || name.starts_with("OTEL_"))
            .map(|(name, _)| name);
        for name in inherited {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder())
            .envs(&self.settings)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts api, worker and notifier in one process and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn start(&self) -> Tbx {
        let tbx = self.spawn();
        within("the services listen", tbx.listening()).await;
        tbx.ready().await;
        tbx
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self) -> Tbx {
        self.spawn_program("tbx", &["api", "notifier", "worker"])
    }

    /// Starts one host as a process of its own, `api`, `worker` or `notifier`, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub async fn start_host(&self, service: &'static str) -> Tbx {
        let host = self.spawn_host(service);
        within("the host listens", host.listening()).await;
        host.ready().await;
        host
    }

    /// Starts one host as a process of its own, and waits for nothing.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn spawn_host(&self, service: &'static str) -> Tbx {
        self.spawn_program(&format!("tbx-{service}"), &[service])
    }

    fn spawn_program(&self, program: &str, services: &[&'static str]) -> Tbx {
        let started = Instant::now();
        let services = services.to_vec();
        let mut child =
            self.command_of(program, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nobody reads what is for people, which must not matter.
        drop(child.stdout.take());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (addresses, seen) = watch::channel(HashMap::new());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = tokio::spawn(follow(stderr, Arc::clone(&log), addresses));
        Tbx { services, child, log, addresses: seen, reader, started, _folder: Arc::clone(&self.folder) }
    }
}

/// Keeps the log and learns the addresses from it.
async fn follow(
    stderr: BufReader<tokio::process::ChildStderr>,
    log: Arc<Mutex<Vec<String>>>,
    addresses: watch::Sender<HashMap<String, SocketAddr>>,
) {
    let mut lines = stderr.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(entry) = serde_json::from_str::<Value>(&line)
            && entry["message"] == "listening"
            && let (Some(service), Some(address)) = (entry["service"].as_str(), entry["addr"].as_str())
        {
            let (service, address) = (service.to_owned(), address.parse().unwrap());
            addresses.send_modify(|known| {
                known.insert(service, address);
            });
        }
        log.lock().unwrap().push(line);
    }
}

/// A running process. Dropped, it is killed.
#[derive(Debug)]
pub struct Tbx {
    /// What listens in it.
    services: Vec<&'static str>,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    addresses: watch::Receiver<HashMap<String, SocketAddr>>,
    reader: tokio::task::JoinHandle<()>,
    started: Instant,
    /// A process keeps its folder, though the setup may be gone.
    _folder: Arc<TempDir>,
}

impl Tbx {
    /// Waits until all its services listen.
    pub async fn listening(&self) {
        let mut addresses = self.addresses.clone();
        if addresses.wait_for(|known| known.len() == self.services.len()).await.is_err() {
            panic!("the process ended before it listened:\n{}", self.log());
        }
    }

    /// Waits until its services are ready; returns how long that took from the start.
    ///
    /// # Panics
    ///
    /// When they do not become ready.
    pub async fn ready(&self) -> Duration {
        let deadline = Instant::now() + DEADLINE;
        for service in &self.services {
            loop {
                let mut client = Client::new(self.address(service));
                match client.get("/health/ready").await {
                    Ok(answer) if answer.status == 200 => break,
                    other if Instant::now() > deadline => {
                        panic!("{service} is not ready: {other:?}\n{}", self.log())
                    }
                    _ => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        }
        self.started.elapsed()
    }

    /// Where a service listens.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn address(&self, service: &str) -> SocketAddr {
        *self.addresses.borrow().get(service).expect("the service listens")
    }

    /// A client of the api.
    #[must_use]
    pub fn api(&self) -> Client {
        Client::new(self.address("api"))
    }

    /// A client of the notifier.
    #[must_use]
    pub fn notifier(&self) -> Client {
        Client::new(self.address("notifier"))
    }

    /// An event stream of the notifier; `path` with its query.
    ///
    /// # Panics
    ///
    /// When the notifier does not answer.
    pub async fn stream(&self, path: &str, last_event_id: Option<&str>) -> EventStream {
        EventStream::connect(self.address("notifier"), path, last_event_id).await.unwrap()
    }

    /// The id of the process.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    ///
    /// When it cannot be waited for.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
        self.reader.await.unwrap();
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub async fn terminate(&self) {
        let status = Command::new("kill").arg("-TERM").arg(self.id().to_string()).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for the end; gives the status and the log.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = within("the process ends", self.child.wait()).await.unwrap();
        self.reader.await.unwrap();
        let log = self.log.lock().unwrap().join("\n");
        (status, log)
    }

    /// What it has logged so far.
    ///
    /// # Panics
    ///
    /// Never in practice.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}
