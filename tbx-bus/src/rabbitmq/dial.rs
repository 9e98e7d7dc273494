//! One try to connect.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::types::LongString;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};

use super::RabbitOptions;
use super::error::DialError;
use super::frames::Frames;

/// A connection that ends for certain when it is dropped.
///
/// The thread that lapin gives each connection waits on the socket, for ever when the other side has stopped without a word, and dropping
/// the handle only asks it to say goodbye. Ending the socket under it ends the thread.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) connection: Connection,
    /// Does its work when it is dropped.
    _hold: Hold,
}

impl Dialled {
    /// Ends it in order.
    pub(super) async fn say_goodbye(&self) {
        // It ends in any case. Now and then lapin misses the answer.
        let _ = tokio::time::timeout(GOODBYE, self.connection.close(200, "bye".into())).await;
    }

    /// Ends one of its channels, and waits until the broker has back what was taken out.
    pub(super) async fn end_channel(&self, channel: &Channel, patience: Duration) {
        let _ = tokio::time::timeout(patience, channel.close(200, "bye".into())).await;
    }
}

/// How long the broker may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Connects, within the time allowed; the broker shows what for.
pub(super) async fn dial(
    options: &RabbitOptions,
    purpose: &str,
    frames: Frames,
) -> Result<Dialled, DialError> {
    let runtime = lapin::runtime::default_runtime().map_err(|error| DialError::new(error, options))?;
    let name: LongString = format!("{} ({purpose})", options.name).into();
    let properties = ConnectionProperties::default().with_connection_name(name);
    let hold = Hold::default();
    let socket = Arc::clone(&hold.0);
    let authorities = options.authorities.clone();
    let mut uri = options.uri.clone();
    uri.query.frame_max = Some(frames.max());
    let connecting = Connection::connector(
        uri,
        runtime,
        async move |uri, runtime| {
            let stream = AsyncTcpStream::connect(&runtime, addresses(&uri).await?).await?;
            if let AsyncTcpStream::Plain(plain) = &stream {
                plain.get_ref().set_nodelay(true)?;
                hold_on(&socket, plain.get_ref())?;
            }
            Ok(match uri.scheme {
                AMQPScheme::AMQP => stream,
                AMQPScheme::AMQPS => {
                    stream.into_tls(&uri.authority.host, trust(&authorities).as_ref()).await?
                }
            })
        },
        properties,
    );
    // Given up, `hold` goes down with us and the thread with it.
    match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(Ok(connection)) => Ok(Dialled { connection, _hold: hold }),
        Ok(Err(error)) => Err(DialError::new(error, options)),
        Err(_) => Err(DialError::timed_out(options)),
    }
}

pub(super) async fn addresses(uri: &AMQPUri) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((uri.authority.host.as_str(), uri.authority.port)).await?;
    Ok(found.collect())
}

/// The system's certificates, and these.
pub(super) fn trust(authorities: &Option<String>) -> OwnedTLSConfig {
    OwnedTLSConfig { identity: None, cert_chain: authorities.clone() }
}

/// Ends the socket when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Hold(Arc<Mutex<Held>>);

/// Locked to put the socket in or take it out.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Socket(socket2::Socket),
    LetGo,
}

fn hold_on(hold: &Mutex<Held>, stream: &tokio::net::TcpStream) -> io::Result<()> {
    let mut held = hold.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*held, Held::LetGo) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    *held = Held::Socket(socket2::SockRef::from(stream).try_clone()?);
    Ok(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Held::Socket(socket) = std::mem::replace(&mut *held, Held::LetGo) {
            // An error means that it has ended already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
