//! What a broker tells about itself before anyone has logged in.
//!
//! Lapin keeps it for itself, so the first words of the protocol are spoken here once more: the client names the protocol, the broker answers with
//! `connection.start`, and that is enough.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::tcp::AsyncTcpStream;

use super::RabbitOptions;
use super::dial;
use super::error::{self, DialError};
use super::frames::Frames;
use crate::BusError;

/// What is known about a broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerFacts {
    /// The name of the product, such as `RabbitMQ`.
    pub product: Option<String>,
    /// Its version, such as `3.10.8`.
    pub version: Option<String>,
    /// The name of its cluster.
    pub cluster: Option<String>,
}

impl BrokerFacts {
    /// Whether the broker is too old for quorum queues that keep their dead letters safe, which came with 3.10. A version that cannot be read
    /// is not called old.
    #[must_use]
    pub fn is_too_old(&self) -> bool {
        let Some(version) = &self.version else { return false };
        let mut numbers = version.split('.').map(str::parse::<u32>);
        matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (3, 10))
    }
}

impl RabbitOptions {
    /// Tries once to connect and to open a channel, and asks the broker who it is: for a check at the start, and for doctors.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::BusErrorKind::Refused) where only a person can help, with what helps; else
    /// [`Disconnected`](crate::BusErrorKind::Disconnected).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn probe(&self) -> Result<BrokerFacts, BusError> {
        let dialled = dial::dial(self, "probing", Frames::Small).await.map_err(DialError::into_bus_error)?;
        let opened = dialled.connection.create_channel().await;
        opened.map_err(|error| error::of_channel(error, "opening a channel"))?;
        dialled.say_goodbye().await;
        // It let us in, so what it does not tell here is no fault.
        let told = tokio::time::timeout(self.connect_timeout, ask(self)).await;
        Ok(told.ok().and_then(Result::ok).unwrap_or_default())
    }
}

/// The largest first frame that is read; brokers send less than a kilobyte.
const MAX_FRAME: usize = 64 * 1024;

async fn ask(options: &RabbitOptions) -> lapin::Result<BrokerFacts> {
    let runtime = lapin::runtime::default_runtime()?;
    let mut stream = AsyncTcpStream::connect(&runtime, dial::addresses(&options.uri).await?).await?;
    if options.is_encrypted() {
        let trust = dial::trust(&options.authorities);
        stream = stream.into_tls(&options.uri.authority.host, trust.as_ref()).await?;
    }
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    stream.flush().await?;
    let mut head = [0; 7];
    stream.read_exact(&mut head).await?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut payload = vec![0; size.min(MAX_FRAME)];
    stream.read_exact(&mut payload).await?;
    Ok(read_start(&payload))
}

/// Reads the properties out of `connection.start` (AMQP 0-9-1, 1.4.2.1), as far as they can be read.
fn read_start(payload: &[u8]) -> BrokerFacts {
    let mut facts = BrokerFacts::default();
    // Class, method and the version of the protocol come first.
    let mut reader = Reader(payload.get(6..).unwrap_or_default());
    let Some(table) = reader.long() else { return facts };
    let mut table = Reader(table);
    while let Some((name, value)) = table.entry() {
        let Some(text) = value.map(|text| String::from_utf8_lossy(text).into_owned()) else { continue };
        match name {
            b"product" => facts.product = Some(text),
            b"version" => facts.version = Some(text),
            b"cluster_name" => facts.cluster = Some(text),
            _ => {}
        }
    }
    facts
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A value after its length in four bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        self.take(length as usize)
    }

    /// A name, and its value if that is text; `None` at the end, or at a type that no broker uses here.
    fn entry(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let length = usize::from(*self.take(1)?.first()?);
        let name = self.take(length)?;
        match self.take(1)?.first()? {
            b'S' => Some((name, Some(self.long()?))),
            b'F' => self.long().map(|_| (name, None)),
            b't' => self.take(1).map(|_| (name, None)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(entries: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 10, 0, 10, 0, 9];
        payload.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        payload.extend(entries);
        payload
    }

    #[test]
    fn the_version_is_read_and_what_stands_around_it_is_skipped() {
        let entries = b"\x0ccapabilitiesF\x00\x00\x00\x04\x01at\x01\x07versionS\x00\x00\x00\x063.10.8\x04copyS\x00\x00\x00\x01c";
        let facts = read_start(&start(entries));
        assert_eq!(facts, BrokerFacts { version: Some("3.10.8".to_owned()), ..Default::default() });
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, too_old) in [("3.9.29", true), ("3.10.0", false), ("4.1.2", false), ("next", false)] {
            let facts = BrokerFacts { version: Some(version.to_owned()), ..Default::default() };
            assert_eq!(facts.is_too_old(), too_old, "{version}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_broker_says_can_do_harm(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_start(&payload);
        }
    }
}
