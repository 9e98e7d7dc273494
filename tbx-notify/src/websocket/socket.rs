//! One WebSocket: reading through a codec, writing frames that may be shared.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tungstenite::Error as CodecError;
use tungstenite::protocol::frame::coding::CloseCode as CodecCloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};

use super::close::CloseCode;
use crate::upgrade::Io;

/// What is read at a time. It lies on the stack and is used only while there is data.
const READ: usize = 4 << 10;
/// What the codec holds for itself while a connection is idle.
const CODEC: usize = 512;
/// While so much waits to be written, nothing more is read or added: a client that asks and does not listen must not fill the memory.
pub(super) const BACKLOG: usize = 64 << 10;
/// How many frames go into one write.
const SLICES: usize = 64;
/// How many frames are taken before others have their turn.
const FRAMES: usize = 64;
/// What fits into a control frame beside the code ([RFC 6455, section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
const MAX_REASON: usize = 123;
/// How long a peer may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bounds of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketOptions {
    /// The longest message taken, in bytes; 16 KiB unless set. Each connection may hold so much while a message arrives.
    pub max_message: usize,
}

impl WebSocketOptions {
    /// The longest message taken, in bytes.
    #[must_use]
    pub fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self { max_message: 16 << 10 }
    }
}

/// A message of a client. Pings are answered and pongs noted without being seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// What a client sends, as far as it is told from the outside.
pub(super) enum Received {
    Message(Message),
    /// A ping, which is answered, or a pong.
    Control,
}

/// A frame, ready to be sent. A clone shares the bytes, so any number of connections may send the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// A message of text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(0x81, text.as_bytes())
    }

    /// A message of bytes.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(0x82, bytes)
    }

    fn ping() -> Self {
        Self::new(0x89, b"")
    }

    /// One unmasked frame ([RFC 6455, section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)): the final bit and the opcode, the length in
    /// 7, 16 or 64 bits, the payload.
    fn new(first: u8, payload: &[u8]) -> Self {
        let mut frame = Vec::with_capacity(payload.len() + 10);
        frame.push(first);
        match payload.len() {
            short @ 0..=125 => frame.push(short as u8),
            medium @ 126..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        Self(frame.into())
    }
}

/// Why no more messages come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The client said goodbye, or is gone.
    #[error("the client is gone")]
    Gone,
    /// The client broke the protocol; close with this code.
    #[error("the client broke the protocol ({})", .0.get())]
    Protocol(CloseCode),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

/// One WebSocket. Messages are read with [`recv`](Self::recv); frames are queued with [`send`](Self::send) and written by
/// [`flush`](Self::flush).
pub struct WebSocket {
    io: Box<dyn Io>,
    codec: WebSocketContext,
    /// Read and not yet taken by the codec.
    input: Bytes,
    output: VecDeque<Bytes>,
    queued: usize,
    written: u64,
    heard: Instant,
    /// Since when a message has been under way that is not complete.
    partial_since: Option<Instant>,
    /// After an error the codec must not see another byte: it is in the middle of what it refused.
    is_broken: bool,
}

impl WebSocket {
    pub(super) fn new(io: Box<dyn Io>, options: WebSocketOptions) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(CODEC)
            .write_buffer_size(0)
            .max_message_size(Some(options.max_message))
            .max_frame_size(Some(options.max_message));
        Self {
            io,
            codec: WebSocketContext::new(Role::Server, Some(config)),
            input: Bytes::new(),
            output: VecDeque::new(),
            queued: 0,
            written: 0,
            heard: Instant::now(),
            partial_since: None,
            is_broken: false,
        }
    }

    /// Waits for the next message, and answers pings meanwhile.
    ///
    /// # Errors
    ///
    /// When no more come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn recv(&mut self) -> Result<Message, SocketError> {
        std::future::poll_fn(|cx| {
            loop {
                let received = self.poll_recv(cx);
                let was_full = self.is_full();
                // Pongs are queued by reading.
                match self.poll_flush(cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(SocketError::Io(error))),
                    // Reading has stopped for want of room, and now there is some.
                    Poll::Ready(Ok(())) if was_full && received.is_pending() => {}
                    _ => return received,
                }
            }
        })
        .await
    }

    /// The next message, as a poll. What it queues is written by [`poll_flush`](Self::poll_flush). While 64 KiB wait to be written it is pending and
    /// wakes nobody: flush, and poll again.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, SocketError>> {
        for _ in 0..FRAMES {
            if let Received::Message(message) = ready!(self.poll_frame(cx))? {
                return Poll::Ready(Ok(message));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What comes next, control frames too.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, SocketError>> {
        if self.is_broken {
            return Poll::Ready(Err(SocketError::Gone));
        }
        loop {
            if self.is_full() {
                return Poll::Pending;
            }
            let has_input = !self.input.is_empty();
            match self.decode(|codec, wire| codec.read(wire)) {
                Ok(tungstenite::Message::Text(text)) => {
                    self.partial_since = None;
                    return Poll::Ready(Ok(Received::Message(Message::Text(text.as_str().to_owned()))));
                }
                Ok(tungstenite::Message::Binary(bytes)) => {
                    self.partial_since = None;
                    return Poll::Ready(Ok(Received::Message(Message::Binary(bytes))));
                }
                // Answered or noted by the codec.
                Ok(_) => return Poll::Ready(Ok(Received::Control)),
                Err(CodecError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if has_input {
                        // Taken, and nothing came of it yet.
                        self.partial_since.get_or_insert_with(Instant::now);
                    }
                    if !ready!(self.poll_read(cx)).map_err(SocketError::Io)? {
                        return Poll::Ready(Err(SocketError::Gone));
                    }
                }
                Err(error) => {
                    self.is_broken = true;
                    return Poll::Ready(Err(read_error(error)));
                }
            }
        }
    }

    /// Whether so much waits to be written that nothing is read.
    pub(super) fn is_full(&self) -> bool {
        self.queued >= BACKLOG
    }

    /// Reads some bytes; `false` at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [std::mem::MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(false));
        }
        self.heard = Instant::now();
        self.input = Bytes::copy_from_slice(buffer.filled());
        Poll::Ready(Ok(true))
    }

    /// Queues a frame.
    pub fn send(&mut self, frame: Frame) {
        self.queue(frame.0);
    }

    /// Queues a ping.
    pub fn ping(&mut self) {
        self.send(Frame::ping());
    }

    fn queue(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        self.output.push_back(bytes);
    }

    /// How many bytes wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many bytes were written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Since when a message has been under way that is not complete.
    pub(super) fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// When the client was last heard of.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.heard
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not written stays queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes what is queued, as a poll.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = self.output.len().min(SLICES);
                for (slice, frame) in slices.iter_mut().zip(&self.output) {
                    *slice = IoSlice::new(frame);
                }
                ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.take_off(written);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn take_off(&mut self, mut bytes: usize) {
        self.queued -= bytes;
        self.written += bytes as u64;
        while let Some(frame) = self.output.front_mut() {
            if bytes < frame.len() {
                frame.advance(bytes);
                return;
            }
            bytes -= frame.len();
            self.output.pop_front();
        }
        // An idle connection holds no queue.
        self.output = VecDeque::new();
    }

    /// Says goodbye, waits up to 2 s for the answer, and closes. What was queued before is written first; a reason longer than 123 bytes is cut.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed at once.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
        let farewell = CloseFrame { code: CodecCloseCode::from(code.get()), reason: reason.into() };
        // Queues the frame; there is no room to run out of.
        let _ = self.decode(|codec, wire| codec.close(wire, Some(farewell)));
        self.part().await;
    }

    /// Writes out what is queued and waits a little for the end of the other side. Closing at once could reach the client as a reset, before what was
    /// written last.
    pub(super) async fn part(mut self) {
        let parting = async {
            self.flush().await?;
            while self.recv().await.is_ok() {}
            std::future::poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
            while std::future::poll_fn(|cx| self.poll_read(cx)).await? {}
            io::Result::Ok(())
        };
        // Whoever is gone needs no goodbye.
        let _ = tokio::time::timeout(FAREWELL, parting).await;
    }

    /// Lets the codec work on what was read, and queues what it writes.
    fn decode<T>(&mut self, work: impl FnOnce(&mut WebSocketContext, &mut Wire<'_>) -> T) -> T {
        let mut wire = Wire { input: &mut self.input, output: Vec::new() };
        let done = work(&mut self.codec, &mut wire);
        let output = wire.output;
        if !output.is_empty() {
            self.queue(output.into());
        }
        done
    }
}

fn read_error(error: CodecError) -> SocketError {
    match error {
        CodecError::ConnectionClosed | CodecError::AlreadyClosed => SocketError::Gone,
        CodecError::Capacity(_) => SocketError::Protocol(CloseCode::TOO_LONG),
        CodecError::Utf8(_) => SocketError::Protocol(CloseCode::INVALID_TEXT),
        CodecError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            SocketError::Gone
        }
        CodecError::Io(error) => SocketError::Io(error),
        _ => SocketError::Protocol(CloseCode::PROTOCOL),
    }
}

/// What the codec takes for a connection.
struct Wire<'a> {
    input: &'a mut Bytes,
    output: Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.input.len().min(buffer.len());
        self.input.copy_to_slice(&mut buffer[..count]);
        if self.input.is_empty() {
            *self.input = Bytes::new();
        }
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("queued", &self.queued).finish_non_exhaustive()
    }
}
