//! What clients that never read cost those that do.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Client, EventStream, Setup, Tbx, WebSocket};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::idle::resident_mib;
use crate::report::{Report, percentile};
use crate::runtime;

const RUNS: usize = 7;
const CLIENTS: usize = 1_000;
const STALLED: usize = CLIENTS / 20;
const PER_SECOND: u64 = 25;
const BODY: usize = 3 << 9;
/// Long enough for the stalled to fill what the system holds for them, and to have been waited for.
const SECONDS: u64 = 22;
const WARM_UP: u64 = 2;

struct Measured {
    p99: f64,
    resident: f64,
    left: u64,
}

pub(crate) fn run(report: &mut Report) {
    let (mut over, mut memory, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        // Interleaved, because the machine drifts.
        let without = runtime().block_on(measure(0));
        let with = runtime().block_on(measure(STALLED));
        println!(
            "       p99 {:.1} ms without, {:.1} ms with {STALLED} of {CLIENTS} stalled; resident {:.1} and {:.1} MiB",
            without.p99, with.p99, without.resident, with.resident
        );
        over.push(with.p99 / (1.5 * without.p99).max(without.p99 + 5.0));
        memory.push(with.resident - without.resident);
        left.push((CLIENTS as u64 - with.left) as f64 / STALLED as f64);
    }
    report.at_most("p99 of the others over what is allowed, max(1.5 times, + 5 ms)", "times", 1.0, over);
    report.at_most("memory for the stalled", "MiB", 16.0, memory);
    report.at_least("stalled clients that were ended by their policy", "of all", 1.0, left);
}

async fn measure(stalled: usize) -> Measured {
    let setup = Setup::new().with("TBX_LOG", "warn,tbx=info");
    let tbx = setup.start().await;
    let address = tbx.address("notifier");
    let mut holding = Vec::new();
    for number in 0..stalled {
        holding.push(stall(address, number).await);
    }
    let begin = Instant::now() + Duration::from_secs(2);
    let total = PER_SECOND * (SECONDS + WARM_UP);
    let mut readers = JoinSet::new();
    for number in stalled..CLIENTS {
        let reader = Reader::connect(address, number).await;
        readers.spawn(reader.latencies(begin, total));
    }
    let publishing = tokio::spawn(publish(tbx.notifier(), begin, total));
    let latencies =
        tokio::time::timeout(Duration::from_secs(120), readers.join_all()).await.expect("all is read");
    publishing.await.unwrap();
    let mut latencies: Vec<f64> = latencies.into_iter().flatten().collect();
    latencies.sort_by(f64::total_cmp);
    let measured = Measured {
        p99: percentile(&latencies, 0.99),
        resident: resident_mib(tbx.id()),
        left: connected(&tbx).await,
    };
    drop(holding);
    KEPT.lock().unwrap().clear();
    tbx.kill().await;
    measured
}

/// Opens a stream, with little room for it in the system, and never reads.
async fn stall(address: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = match number % 2 {
        0 => format!("GET /api/notifications/stream HTTP/1.1\r\nhost: {address}\r\n\r\n"),
        _ => format!(
            "GET /api/notifications/ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    };
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// How many connections the notifier has that stream something. The readers are still there, for they leave when this process drops them.
async fn connected(tbx: &Tbx) -> u64 {
    let counts = tbx.notifier().get("/api/notifications/connections").await.unwrap().json();
    counts["total"].as_u64().unwrap()
}

enum Reader {
    Sse(EventStream),
    WebSocket(WebSocket),
}

impl Reader {
    async fn connect(address: SocketAddr, number: usize) -> Self {
        let mut reader = match number % 2 {
            0 => Self::Sse(EventStream::connect(address, "/api/notifications/stream", None).await.unwrap()),
            _ => Self::WebSocket(WebSocket::connect(address, "/api/notifications/ws").await.unwrap()),
        };
        reader.next().await;
        reader
    }

    /// The data of the next message.
    async fn next(&mut self) -> Value {
        match self {
            Self::Sse(stream) => stream.next().await.expect("the stream goes on").json(),
            Self::WebSocket(socket) => socket.next().await.expect("the stream goes on")["data"].take(),
        }
    }

    /// The milliseconds from when each notification was due to here. Stays connected until all readers are done.
    async fn latencies(mut self, begin: Instant, total: u64) -> Vec<f64> {
        let mut latencies = Vec::new();
        loop {
            let data = self.next().await;
            let Some(number) = data["number"].as_u64() else { continue };
            let latency = begin.elapsed().as_secs_f64() * 1e3 - due(number).as_secs_f64() * 1e3;
            if number >= PER_SECOND * WARM_UP {
                latencies.push(latency);
            }
            if number + 1 == total {
                // The socket stays open beyond this task.
                KEPT.lock().unwrap().push(self);
                return latencies;
            }
        }
    }
}

static KEPT: std::sync::Mutex<Vec<Reader>> = std::sync::Mutex::new(Vec::new());

fn due(number: u64) -> Duration {
    Duration::from_micros(number * 1_000_000 / PER_SECOND)
}

/// Open loop: a notification is due at its time, and waiting for the one before counts.
async fn publish(mut notifier: Client, begin: Instant, total: u64) {
    let filling = "x".repeat(BODY);
    for number in 0..total {
        tokio::time::sleep_until(begin + due(number)).await;
        let body = json!({ "topic": "load.a", "event": "Happened", "data": { "number": number, "filling": filling } });
        let answer = notifier.json(Method::POST, "/api/notifications", &body).await.unwrap();
        assert_eq!(answer.status, 202);
    }
}
