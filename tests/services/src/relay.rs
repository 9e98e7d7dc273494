//! A TCP relay that misbehaves when told to.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::amqp;

/// Forwards connections to a server, until told otherwise. Dropped, it ends them all.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    control: Arc<Control>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Control {
    /// Raised to end every connection there is.
    cuts: watch::Sender<u64>,
    held: watch::Sender<bool>,
    /// What a client must not say for now.
    held_word: watch::Sender<Option<&'static str>>,
    refuses: watch::Sender<bool>,
    delay_ms: AtomicU64,
    connections: watch::Sender<usize>,
    accepted: watch::Sender<usize>,
    /// How many confirmations are still to be lost.
    acks_to_drop: AtomicUsize,
    /// Frames for every client, in order; each connection remembers how far it is.
    injected: Mutex<Vec<Vec<u8>>>,
    injections: watch::Sender<usize>,
}

impl Relay {
    /// A relay to `upstream` at a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    #[must_use]
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let control = Arc::new(Control {
            cuts: watch::Sender::new(0),
            held: watch::Sender::new(false),
            held_word: watch::Sender::new(None),
            refuses: watch::Sender::new(false),
            delay_ms: AtomicU64::new(0),
            connections: watch::Sender::new(0),
            accepted: watch::Sender::new(0),
            acks_to_drop: AtomicUsize::new(0),
            injected: Mutex::default(),
            injections: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, upstream, Arc::clone(&control))).abort_handle();
        Self { address, control, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        *self.control.accepted.borrow()
    }

    /// Waits until it has accepted so many.
    pub async fn has_accepted(&self, count: usize) {
        // The sender lives as long as the relay.
        let _ = self.control.accepted.subscribe().wait_for(|accepted| *accepted >= count).await;
    }

    /// Ends every connection once, and waits until they are gone, or for a moment: clients that come back at once count too. New ones are accepted.
    pub async fn cut(&self) {
        // Those that come meanwhile are not meant.
        let before = *self.control.cuts.borrow() + 1;
        self.control.cuts.send_replace(before);
        let mut connections = self.control.connections.subscribe();
        let gone = connections.wait_for(|count| *count == 0);
        let _ = tokio::time::timeout(Duration::from_millis(500), gone).await;
    }

    /// Stops forwarding in both directions, and leaves every socket open: a half-open connection.
    pub fn hold(&self) {
        self.control.held.send_replace(true);
    }

    /// Holds back what clients send as soon as this word is in it, on that connection alone. The word must come in one piece, as small commands do.
    pub fn hold_requests(&self, word: &'static str) {
        self.control.held_word.send_replace(Some(word));
    }

    /// Forwards again, also what was held back.
    pub fn release(&self) {
        self.control.held.send_replace(false);
        self.control.held_word.send_replace(None);
    }

    /// Lets everything wait for so long in each direction.
    pub fn delay(&self, delay: Duration) {
        self.control.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Closes new connections at once.
    pub fn refuse(&self) {
        self.control.refuses.send_replace(true);
    }

    /// Accepts new connections again.
    pub fn accept(&self) {
        self.control.refuses.send_replace(false);
    }

    /// Tells every AMQP client, present and future, that the broker takes no messages. The broker knows nothing of it.
    ///
    /// # Panics
    ///
    /// When the reason is longer than 255 bytes.
    pub fn inject_blocked(&self, reason: &str) {
        self.inject(amqp::blocked(reason));
    }

    /// Tells every AMQP client that the broker takes messages again.
    ///
    /// # Panics
    ///
    /// Never in practice.
    pub fn inject_unblocked(&self) {
        self.inject(amqp::unblocked());
    }

    /// Keeps the next confirmation of an AMQP broker from its client.
    pub fn drop_next_ack(&self) {
        self.control.acks_to_drop.fetch_add(1, Ordering::SeqCst);
    }

    fn inject(&self, frame: Vec<u8>) {
        let mut injected = self.control.injected.lock().unwrap();
        injected.push(frame);
        self.control.injections.send_replace(injected.len());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, control: Arc<Control>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        control.accepted.send_modify(|accepted| *accepted += 1);
        if *control.refuses.borrow() {
            continue;
        }
        let counted = Counted::new(&control);
        // Before it runs: a cut must not miss a connection that was accepted.
        let mut cuts = control.cuts.subscribe();
        connections.spawn(async move {
            tokio::select! {
                // However it ends, both sockets are closed.
                _ = cuts.changed() => {}
                _ = forward(client, upstream, &counted.0) => {}
            }
        });
    }
}

/// One connection, counted as long as it lives.
struct Counted(Arc<Control>);

impl Counted {
    fn new(control: &Arc<Control>) -> Self {
        control.connections.send_modify(|count| *count += 1);
        Self(Arc::clone(control))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.send_modify(|count| *count -= 1);
    }
}

async fn forward(client: TcpStream, upstream: SocketAddr, control: &Control) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    // What a client says first tells what it speaks.
    let mut first = [0; 4];
    from_client.read_exact(&mut first).await?;
    pass(control).await;
    to_server.write_all(&first).await?;
    let up = copy(from_client, to_server, control, Some(&control.held_word));
    if &first == b"AMQP" {
        tokio::try_join!(up, copy_frames(from_server, to_client, control)).map(drop)
    } else {
        tokio::try_join!(up, copy(from_server, to_client, control, None)).map(drop)
    }
}

/// Waits as long as the relay is told to.
async fn pass(control: &Control) {
    let delay = control.delay_ms.load(Ordering::SeqCst);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let mut held = control.held.subscribe();
    // The sender lives as long as the control.
    let _ = held.wait_for(|held| !held).await;
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    control: &Control,
    held_word: Option<&watch::Sender<Option<&'static str>>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        pass(control).await;
        if let Some(held_word) = held_word {
            let says = |word: &str| buffer[..count].windows(word.len()).any(|said| said == word.as_bytes());
            // The sender lives as long as the control.
            let _ = held_word.subscribe().wait_for(|word| !word.is_some_and(says)).await;
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// From the broker to its client, frame by frame, so that frames can be put in and left out.
async fn copy_frames(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    control: &Control,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut injections = control.injections.subscribe();
    // The client must be through with its handshake before it is told of anything else: its first frames are left alone.
    let mut frames = 0;
    let mut told = 0;
    loop {
        const HANDSHAKE: usize = 3;
        if frames >= HANDSHAKE {
            let news: Vec<Vec<u8>> = control.injected.lock().unwrap().iter().skip(told).cloned().collect();
            told += news.len();
            injections.mark_unchanged();
            for frame in news {
                to.write_all(&frame).await?;
            }
        }
        let count = tokio::select! {
            _ = injections.changed() => continue,
            count = from.read_buf(&mut buffer) => count?,
        };
        pass(control).await;
        if count == 0 {
            return to.shutdown().await;
        }
        let mut whole = Vec::with_capacity(buffer.len());
        while let Some(length) = amqp::frame_length(&buffer).filter(|length| *length <= buffer.len()) {
            let frame: Vec<u8> = buffer.drain(..length).collect();
            frames += 1;
            if amqp::is_ack(&frame) && take_one(&control.acks_to_drop) {
                continue;
            }
            whole.extend_from_slice(&frame);
        }
        to.write_all(&whole).await?;
    }
}

fn take_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}
