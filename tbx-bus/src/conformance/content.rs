//! Content: bytes in, the same bytes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Harness;
use super::steps::*;
use crate::{Message, TraceContext};

async fn check_arrives(harness: &dyn Harness, message: Message) {
    let mut deliveries = join(harness, &group("readers", "#")).await;
    publish(harness, message.clone()).await;
    let received = handle(harness, &mut deliveries).await;
    assert_eq!(received.body(), message.body());
    assert_eq!(received.headers(), message.headers());
    assert_eq!(received.content_type(), message.content_type());
    assert_eq!(received.subject(), message.subject());
    assert_eq!(received.key(), message.key());
    assert_eq!(received.topic(), message.topic());
}

/// Nothing is content too.
pub async fn an_empty_body_arrives(harness: &dyn Harness) {
    check_arrives(harness, Message::new(topic("content.empty"), "Happened", Bytes::new())).await;
}

/// Every byte value, zero and invalid UTF-8 among them.
pub async fn a_binary_body_arrives(harness: &dyn Harness) {
    let every_byte: Vec<u8> = (0..=255).chain([0xff, 0xfe, 0x00]).collect();
    let message = Message::new(topic("content.binary"), "Happened", every_byte);
    check_arrives(harness, message.with_content_type("application/octet-stream")).await;
}

/// In the body, the headers, the subject and the key.
pub async fn text_beyond_ascii_arrives(harness: &dyn Harness) {
    let text = "Grüße, 学生, Ωμέγα, 🦀";
    let message = keyed("content.text", text, text).with_subject(text).with_header("straße", text);
    check_arrives(harness, message).await;
}

/// As large as every bus takes.
pub async fn a_body_of_one_mebibyte_arrives(harness: &dyn Harness) {
    let large: Vec<u8> = (0..1_usize << 20).map(|n| (n % 251) as u8).collect();
    check_arrives(harness, Message::new(topic("content.large"), "Happened", large)).await;
}

/// Topics are words in any language, and `*` stands for one of them.
pub async fn topics_beyond_ascii_are_routed(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "größe.*.学生")).await;
    publish(harness, message("größe.Ωμέγα.学生", "")).await;
    assert_eq!(handle(harness, &mut deliveries).await.topic().as_str(), "größe.Ωμέγα.学生");
}

/// The second attempt belongs to the same trace as the first, with everything else that the message carried.
pub async fn the_trace_survives_a_retry(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "trace.*")).await;
    let trace = TraceContext::generate().with_tracestate("vendor=1");
    let traced = keyed("trace.me", "k", "body").with_trace(Some(trace.clone())).with_header("own", "header");
    publish(harness, traced).await;
    let first = take(harness, &mut deliveries).await;
    assert_eq!(first.message().trace(), Some(&trace));
    let message = Arc::clone(first.message());
    first.retry(Duration::from_millis(10)).await.expect("put off");
    let second = take(harness, &mut deliveries).await;
    assert_eq!(*second.message(), message);
    drop(second);
    assert_eq!(handle(harness, &mut deliveries).await, message);
}
