//! A virtual host of RabbitMQ.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::url::Url;
use crate::{Relay, fresh_name, server};

/// A virtual host of its own. Dropped, it is deleted with everything in it.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    broker: Url,
    management: Url,
}

impl Vhost {
    /// A fresh virtual host, which the user of the test URL may do everything in.
    ///
    /// # Panics
    ///
    /// When the broker cannot be asked for it.
    #[must_use]
    #[expect(clippy::unused_async, reason = "as the places on other servers")]
    pub async fn create() -> Self {
        let broker = Url::parse(&server("TBX_TEST_AMQP_URL"));
        let management = match std::env::var("TBX_TEST_AMQP_MANAGEMENT_URL") {
            Ok(url) => Url::parse(&url),
            Err(_) => {
                let address = SocketAddr::new(broker.address(5672).ip(), 15672);
                Url { scheme: "http".to_owned(), authority: address.to_string(), ..broker.clone() }
            }
        };
        Self::made_at(broker, management)
    }

    /// A fresh virtual host of the broker at a URL, with its management at another.
    ///
    /// # Panics
    ///
    /// When the broker cannot be asked for it.
    #[must_use]
    pub fn create_at(broker: &str, management: &str) -> Self {
        Self::made_at(Url::parse(broker), Url::parse(management))
    }

    fn made_at(broker: Url, management: Url) -> Self {
        let vhost = Self { name: fresh_name(), broker, management };
        let (user, _) = vhost.broker.user_and_password();
        vhost.ask("PUT", &format!("/api/vhosts/{}", vhost.name), "");
        let everything = r#"{"configure":".*","write":".*","read":".*"}"#;
        vhost.ask("PUT", &format!("/api/permissions/{}/{user}", vhost.name), everything);
        vhost
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.broker.with_path(&self.name)
    }

    /// The address of its server, for a [`Relay`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.broker.address(5672)
    }

    /// Where it is, through a relay.
    #[must_use]
    pub fn url_through(&self, relay: &Relay) -> String {
        self.broker.at(relay.address(), &self.name)
    }

    /// Applies a policy to the queues whose names match `pattern`; `definition` is JSON such as `{"max-length":10}`.
    ///
    /// # Panics
    ///
    /// When the broker refuses it.
    pub fn set_policy(&self, pattern: &str, definition: &str) {
        let body = format!(
            r#"{{"pattern":"{pattern}","definition":{definition},"priority":10,"apply-to":"queues"}}"#
        );
        self.ask("PUT", &format!("/api/policies/{}/test", self.name), &body);
    }

    /// Takes the policy away.
    ///
    /// # Panics
    ///
    /// When the broker refuses it.
    pub fn clear_policy(&self) {
        self.ask("DELETE", &format!("/api/policies/{}/test", self.name), "");
    }

    /// Lets the user of the test URL publish to `exchange` only what has a topic that matches a regular expression.
    ///
    /// # Panics
    ///
    /// When the broker refuses it.
    pub fn allow_topics(&self, exchange: &str, pattern: &str) {
        let (user, _) = self.broker.user_and_password();
        let body = format!(r#"{{"exchange":"{exchange}","write":"{pattern}","read":".*"}}"#);
        self.ask("PUT", &format!("/api/topic-permissions/{}/{user}", self.name), &body);
    }

    /// Deletes a queue, as an operator may.
    ///
    /// # Panics
    ///
    /// When the broker refuses it.
    pub fn delete_queue(&self, queue: &str) {
        self.ask("DELETE", &format!("/api/queues/{}/{queue}", self.name), "");
    }

    /// Asks the management API about it, such as for `queues` or `bindings`; gives the JSON text.
    ///
    /// # Panics
    ///
    /// When the broker refuses it.
    #[must_use]
    pub fn list(&self, what: &str) -> String {
        self.ask("GET", &format!("/api/{what}/{}", self.name), "")
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        match self.try_ask(method, path, body) {
            Ok((200..300, answer)) => answer,
            Ok((status, answer)) => panic!("{method} {path}: {status} {answer}"),
            Err(error) => panic!("the management of RabbitMQ at {}: {error}", self.management.authority),
        }
    }

    /// By hand, since a client library would be more than all the rest of this crate.
    fn try_ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.management.address(15672))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let credentials = base64(self.management.credentials.trim_end_matches('@').as_bytes());
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // The broker may be gone too, as tests end it.
        let _ = self.try_ask("DELETE", &format!("/api/vhosts/{}", self.name), "");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn credentials_are_encoded() {
        for (text, encoded) in [("tbx:tbx", "dGJ4OnRieA=="), ("ab", "YWI="), ("abc", "YWJj"), ("", "")] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
