//! What a person is told who has to mend something.

use std::time::{Duration, Instant};

use tbx_bus::rabbitmq::{LinkState, RabbitMq, RabbitOptions};
use tbx_bus::{Backoff, BusErrorKind};
use tbx_services::{Relay, Vhost};

use super::harness::soon;

/// The URL of a virtual host with something else in place of one part.
async fn probe(url: &str) -> (BusErrorKind, String) {
    let error = soon(RabbitOptions::new(url).unwrap().probe()).await.unwrap_err();
    (error.kind(), error.to_string())
}

/// The two connections of a bus that was started at `start`, when the relay had accepted `before`, are tried a second time, and not at once.
pub(super) async fn check_second_tries(relay: &Relay, before: usize, start: Instant) {
    soon(relay.has_accepted(before + 4)).await;
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(750), "tried again after {waited:?}");
}

fn password(url: &str) -> &str {
    let (userinfo, _) = url.trim_start_matches("amqp://").split_once('@').unwrap();
    userinfo.split_once(':').unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lets_us_in_passes_the_probe_and_says_who_it_is() {
    let vhost = Vhost::create().await;
    let facts = soon(RabbitOptions::new(&vhost.url()).unwrap().probe()).await.unwrap();
    assert_eq!(facts.product.as_deref(), Some("RabbitMQ"));
    assert!(facts.version.is_some() && !facts.is_too_old(), "{facts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_not_shown() {
    let vhost = Vhost::create().await;
    let url = vhost.url().replace(&format!(":{}@", password(&vhost.url())), ":sesame@");
    let (kind, message) = probe(&url).await;
    assert_eq!(kind, BusErrorKind::Refused);
    assert!(message.contains("check user and password of the URL"), "{message}");
    assert!(!message.contains("sesame"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_virtual_host_is_named_with_the_commands_that_make_it() {
    let vhost = Vhost::create().await;
    let (kind, message) = probe(&vhost.url().replace(vhost.name(), "elsewhere")).await;
    assert_eq!(kind, BusErrorKind::Refused);
    assert!(message.contains("rabbitmqctl add_vhost elsewhere"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nothing_listens_is_named() {
    let (kind, message) = probe("amqp://127.0.0.1:1").await;
    assert_eq!(kind, BusErrorKind::Disconnected);
    assert!(message.contains("nothing listens at 127.0.0.1:1;"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_is_named() {
    let (kind, message) = probe("amqp://no-such-host.invalid").await;
    assert_eq!(kind, BusErrorKind::Disconnected);
    assert!(message.contains("host `no-such-host.invalid` is not known"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_is_given_up_in_time() {
    let vhost = Vhost::create().await;
    let relay = Relay::start(vhost.address()).await;
    relay.hold();
    let options = RabbitOptions::new(&vhost.url_through(&relay)).unwrap();
    let error = soon(options.with_connect_timeout(Duration::from_millis(300)).probe()).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Disconnected);
    assert!(error.to_string().contains("no answer from"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_on_a_port_without_it_is_told_with_the_remedy() {
    let vhost = Vhost::create().await;
    let url = vhost.url().replace("amqp://", "amqps://");
    let (_, message) = probe(&url).await;
    assert!(message.contains("`amqp://` for a port without TLS"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_mend_is_shown_and_not_tried_in_a_storm() {
    let vhost = Vhost::create().await;
    let relay = Relay::start(vhost.address()).await;
    let url = vhost.url_through(&relay).replace(vhost.name(), "elsewhere");
    let start = Instant::now();
    let rabbit = RabbitMq::start(RabbitOptions::new(&url).unwrap().with_backoff(Backoff::for_test()));
    let mut state = rabbit.state();
    let told = |state: &LinkState| matches!(state, LinkState::Connecting(Some(why)) if why.contains("rabbitmqctl add_vhost elsewhere"));
    soon(state.wait_for(told)).await.unwrap();
    check_second_tries(&relay, 0, start).await;
    soon(rabbit.close()).await;
    assert_eq!(*rabbit.state().borrow(), LinkState::Closed);
}
