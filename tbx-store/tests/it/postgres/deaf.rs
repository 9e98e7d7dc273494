//! An outbox that cannot hear the others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tbx_store::postgres::{Database, DatabaseOptions, PgOutbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::{DEADLINE, attend};

/// When connections were ended.
type Ends = watch::Sender<Vec<Instant>>;

/// A proxy that ends each connection as soon as it listens.
async fn deaf_proxy(upstream: SocketAddr, ends: Arc<Ends>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let ends = Arc::clone(&ends);
            connections.spawn(async move { pass(client, upstream, &ends).await });
        }
    });
    address
}

/// Forwards until the server has taken a LISTEN.
async fn pass(mut client: TcpStream, upstream: SocketAddr, ends: &Ends) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count? {
                0 => return Ok(()),
                count => server.write_all(&asked[..count]).await?,
            },
            count = server.read(&mut answered) => {
                let answer = &answered[..count?];
                client.write_all(answer).await?;
                let is_taken = answer.windows(7).any(|part| part == b"LISTEN\0");
                if is_taken {
                    ends.send_modify(|ends| ends.push(Instant::now()));
                }
                if is_taken || answer.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

#[tokio::test]
async fn whoever_may_not_listen_tries_ever_less_often() {
    let (place, ends) = (tbx_services::Database::create().await, Arc::new(Ends::new(Vec::new())));
    let proxy = deaf_proxy(place.address(), Arc::clone(&ends)).await;
    let options = DatabaseOptions::new(&format!("{}?sslmode=disable", place.url_at(proxy))).unwrap();
    let database = Database::open(&options, &[]).await.unwrap();
    let attending = attend(&PgOutbox::of(&database)).await;
    let mut seen = ends.subscribe();
    let ends = async { seen.wait_for(|ends| ends.len() >= 6).await.unwrap().clone() };
    let ends = tokio::time::timeout(DEADLINE, ends).await.unwrap();
    // Five pauses that double from 100 ms, a quarter more or less.
    assert!(ends[5] - ends[0] > Duration::from_secs(1), "{ends:?}");
    attending.stop().await;
}
