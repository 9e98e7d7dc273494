//! Encrypted connections, with certificates that are right and wrong.

use std::time::Instant;

use tbx_bus::rabbitmq::{Exchange, LinkState, RabbitMq, RabbitOptions};
use tbx_bus::{Backoff, BusErrorKind, Subscriber};
use tbx_services::{Authority, Relay, TlsRelay, Vhost};

use super::harness::{group, message, next, publish, soon};
use super::refusals::check_second_tries;

/// The broker's port for TLS, its certificate made out to `name`, with a relay before it.
struct Encrypted {
    vhost: Vhost,
    tls: TlsRelay,
    relay: Relay,
    authority: Authority,
}

impl Encrypted {
    async fn start(name: &str) -> Self {
        let (vhost, authority) = (Vhost::create().await, Authority::new());
        let tls = TlsRelay::start(vhost.address(), &authority, name).await;
        let relay = Relay::start(tls.address()).await;
        Self { vhost, tls, relay, authority }
    }

    fn options(&self, trusted: &Authority) -> RabbitOptions {
        let url = self.vhost.url_through(&self.relay).replace("amqp://", "amqps://");
        RabbitOptions::new(&url).unwrap().with_authorities(trusted.pem()).with_backoff(Backoff::for_test())
    }

    /// What a person is told, by the probe and by a bus that goes on trying; and that it does so without a storm.
    async fn check_refused(&self, trusted: &Authority) {
        let told = |text: &str| {
            let remedies = ["`cacertfile=`", "name the host as the certificate does"];
            remedies.iter().all(|remedy| text.contains(remedy))
        };
        let error = soon(self.options(trusted).probe()).await.unwrap_err();
        assert_eq!(error.kind(), BusErrorKind::Refused, "{error}");
        assert!(told(&error.to_string()), "{error}");

        let (before, start) = (self.relay.accepted(), Instant::now());
        let rabbit = RabbitMq::start(self.options(trusted));
        let mut state = rabbit.state();
        let is_told = |state: &LinkState| matches!(state, LinkState::Connecting(Some(why)) if told(why));
        soon(state.wait_for(is_told)).await.unwrap();
        check_second_tries(&self.relay, before, start).await;
        soon(rabbit.close()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_authority_is_trusted_is_used_encrypted() {
    let encrypted = Encrypted::start("127.0.0.1").await;
    let options = encrypted.options(&encrypted.authority);
    let facts = soon(options.clone().probe()).await.unwrap();
    assert!(facts.version.is_some(), "{facts:?}");
    let rabbit = RabbitMq::start(options);
    let bus = rabbit.bus(Exchange::new("encrypted").unwrap());
    let mut readers = soon(bus.consume(&group("readers", "secret.*"))).await.unwrap();
    publish(&bus, message("secret.kept", "whole")).await.unwrap();
    next(&mut readers).await.ack().await.unwrap();
    // And again after the connection was cut.
    encrypted.relay.cut().await;
    assert!(soon(readers.next()).await.is_err());
    let mut readers = soon(bus.consume(&group("readers", "secret.*"))).await.unwrap();
    soon(async { while publish(&bus, message("secret.kept", "whole")).await.is_err() {} }).await;
    assert_eq!(next(&mut readers).await.message().topic().as_str(), "secret.kept");
    soon(rabbit.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_in_a_file_that_the_url_names_is_trusted() {
    let encrypted = Encrypted::start("localhost").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), encrypted.authority.pem()).unwrap();
    let url = encrypted.vhost.url_through(&encrypted.relay).replace("amqp://", "amqps://");
    let url = url.replace("127.0.0.1", "localhost");
    let options = RabbitOptions::new(&format!("{url}?cacertfile={}", file.path().display())).unwrap();
    soon(options.probe()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_nobody_trusts_is_refused_with_the_remedy() {
    let encrypted = Encrypted::start("127.0.0.1").await;
    encrypted.check_refused(&Authority::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused_with_the_remedy() {
    let encrypted = Encrypted::start("elsewhere.invalid").await;
    encrypted.check_refused(&encrypted.authority).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tls_on_a_port_that_has_it_is_told_with_the_remedy() {
    let encrypted = Encrypted::start("127.0.0.1").await;
    let relay = Relay::start(encrypted.tls.address()).await;
    let options = RabbitOptions::new(&encrypted.vhost.url_through(&relay)).unwrap();
    let error = soon(options.probe()).await.unwrap_err();
    assert!(error.to_string().contains("use `amqps://`"), "{error}");
}
