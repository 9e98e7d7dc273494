//! Where the broker is, and how patient we are with it.

use std::fmt;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::Backoff;

/// Where the broker is, and how patient to be with it.
///
/// ```
/// use tbx_bus::rabbitmq::RabbitOptions;
///
/// let options = RabbitOptions::new("amqp://user:password@broker:5672/shop")?.with_name("shop-api");
/// assert_eq!(options.to_string(), "amqp://user@broker:5672/shop");
/// # Ok::<(), tbx_bus::rabbitmq::InvalidRabbitUrl>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RabbitOptions {
    pub(super) uri: AMQPUri,
    pub(super) name: String,
    pub(super) authorities: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) publish_timeout: Duration,
    pub(super) confirm_timeout: Duration,
    pub(super) confirm_window: usize,
    pub(super) max_body: usize,
    pub(super) queue_length: Option<u32>,
    pub(super) backoff: Backoff,
}

/// A window above this gains nothing and costs memory here and in the broker.
const MAX_WINDOW: usize = 1_024;

impl RabbitOptions {
    /// Reads a URL, `amqp://user:password@host:port/vhost` or `amqps://…`. Everything but the host may be left out; reserved characters are
    /// percent-encoded. Without a virtual host, or with an empty one, it is `/`.
    ///
    /// Parameters: `heartbeat` in seconds (15 unless set), `connection_timeout` in milliseconds (10,000 unless set), `cacertfile`, the path of
    /// a file of certificates in PEM that are trusted beside the system's.
    ///
    /// # Errors
    ///
    /// Names what is wrong, without showing the password.
    pub fn new(url: &str) -> Result<Self, InvalidRabbitUrl> {
        let mut uri: AMQPUri = url.parse().map_err(|_: String| InvalidRabbitUrl::Form)?;
        if let Some(address) = ip6_host(url) {
            // The parser of lapin takes such a host for none and connects to `localhost`.
            address.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        let mut options = Self {
            uri,
            name: "tbx".to_owned(),
            authorities: None,
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            confirm_timeout: Duration::from_secs(30),
            confirm_window: 256,
            max_body: 1 << 20,
            queue_length: None,
            backoff: Backoff::standard(),
        };
        options.uri.query.heartbeat = options.uri.query.heartbeat.or(Some(15));
        if let Some(millis) = options.uri.query.connection_timeout {
            options.connect_timeout = Duration::from_millis(millis);
        }
        for parameter in url.split_once('?').map_or("", |(_, query)| query).split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "" | "heartbeat" | "connection_timeout" => {}
                "cacertfile" => {
                    let path = percent_decode_str(value).decode_utf8_lossy().into_owned();
                    let authorities = std::fs::read_to_string(&path)
                        .map_err(|error| InvalidRabbitUrl::Authorities { path, error })?;
                    options.authorities = Some(authorities);
                }
                _ => return Err(InvalidRabbitUrl::Parameter { name: name.to_owned() }),
            }
        }
        Ok(options)
    }

    /// The name under which the broker shows the connections.
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Certificates in PEM that are trusted beside the system's.
    pub fn with_authorities(mut self, pem: &str) -> Self {
        self.authorities = Some(pem.to_owned());
        self
    }

    /// How long one try to connect may take; 10 s unless set.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a message waits to be sent while the broker is away or blocks publishers; 30 s unless set. Longer rides out longer outages
    /// without an error; callers wait meanwhile.
    pub fn with_publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How long the broker may take to confirm a message that was sent to it; 30 s unless set.
    pub fn with_confirm_timeout(mut self, timeout: Duration) -> Self {
        self.confirm_timeout = timeout;
        self
    }

    /// How many messages are sent before the first of them is confirmed, 1 to 1,024; 256 unless set. More is faster until the broker's disk is
    /// the limit; a lost connection leaves as many in doubt.
    pub fn with_confirm_window(mut self, messages: usize) -> Self {
        self.confirm_window = messages.clamp(1, MAX_WINDOW);
        self
    }

    /// The largest body taken, in bytes; 1 MiB unless set. The broker holds bodies in memory on their way.
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many messages wait in a group before the broker refuses more; no limit unless set. The queues of a group carry this number, so all
    /// processes must agree on it. One full group makes every publication that it wants fail, and what fails is repeated into the groups that
    /// have room: a limit protects the broker's disk, and trades duplicates for it.
    pub fn with_queue_length(mut self, messages: u32) -> Self {
        self.queue_length = Some(messages.max(1));
        self
    }

    /// How long to wait between tries to connect; [`Backoff::standard`] unless set.
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

/// The address of a host written in brackets.
fn ip6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (_, after) = authority.rsplit_once('[')?;
    after.split_once(']').map(|(address, _)| address)
}

impl fmt::Display for RabbitOptions {
    /// The URL without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}@{}/{}",
            self.uri.scheme,
            self.user(),
            self.address(),
            self.vhost().trim_start_matches('/')
        )
    }
}

impl fmt::Debug for RabbitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitOptions")
            .field("url", &self.to_string())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A URL that names no broker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidRabbitUrl {
    /// It does not have the form of one.
    #[error(
        "the broker's URL must have the form `amqp://user:password@host:port/vhost`, with reserved characters percent-encoded"
    )]
    Form,
    /// A parameter that means nothing here.
    #[error(
        "the broker's URL has the unknown parameter `{name}`; there are `heartbeat`, `connection_timeout` and `cacertfile`"
    )]
    Parameter {
        /// Its name.
        name: String,
    },
    /// The file of certificates cannot be read.
    #[error("the certificates of the broker's authority cannot be read from {path}")]
    Authorities {
        /// Where they should be.
        path: String,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let options = RabbitOptions::new("amqps://user:sesame@broker/a%2Fb?heartbeat=7").unwrap();
        assert_eq!(options.to_string(), "amqps://user@broker:5671/a/b");
        assert_eq!(options.uri.query.heartbeat, Some(7));
        assert!(!format!("{options:?}").contains("sesame"));
    }

    #[test]
    fn a_host_in_brackets_is_that_host() {
        let options = RabbitOptions::new("amqp://user:password@[::1]:5673").unwrap();
        assert_eq!((options.address().as_str(), options.vhost()), ("::1:5673", "/"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        for (url, wanted) in [
            ("http://broker", "amqp://user:password@host:port/vhost"),
            ("nonsense", "amqp://user:password@host:port/vhost"),
            ("amqp://broker?hartbeat=1", "`hartbeat`"),
            ("amqp://broker?cacertfile=/not/there.pem", "/not/there.pem"),
            ("amqp://broker?cacertfile=/not%20there%2Fa+b.pem", "/not there/a+b.pem"),
        ] {
            let message = RabbitOptions::new(url).unwrap_err().to_string();
            assert!(message.contains(wanted), "{url}: {message}");
        }
    }
}
