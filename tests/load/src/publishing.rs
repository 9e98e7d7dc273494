//! Publishing with confirmations, beside the bare driver with the same window.

use std::collections::VecDeque;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
use tbx_bus::{Group, Message, Publisher, Receipt, Subscriber, Topic, TopicPattern, cloudevents};
use tbx_services::Vhost;
use tokio::time::Instant;

use crate::report::Report;
use crate::runtime;

const RUNS: usize = 7;
const MESSAGES: usize = 20_000;
/// How many are sent before the first of them is confirmed.
pub(crate) const WINDOW: usize = 256;
pub(crate) const EXCHANGE: &str = "load";

pub(crate) fn run(report: &mut Report) {
    let mut shares = Vec::new();
    for _ in 0..RUNS {
        // Interleaved, because the machine drifts; each on a broker without a backlog.
        let bare = runtime().block_on(measure_bare(MESSAGES, WINDOW));
        let ours = runtime().block_on(measure_ours());
        println!("       {ours:.0} messages a second, the bare driver {bare:.0}");
        shares.push(ours / bare);
    }
    report.at_least("publishing with confirmations, beside the bare driver", "of it", 0.85, shares);
}

/// The message that is sent again and again: as large as that of a student's change.
pub(crate) fn message() -> Message {
    let body = format!("{{\"filling\":\"{}\"}}", "x".repeat(450));
    Message::new(Topic::new("student.updated").unwrap(), "StudentUpdated", body)
        .with_source("/students")
        .with_subject("01a21254-fdcf-7f16-8af4-043904657d0d")
}

pub(crate) fn group() -> Group {
    Group::new("load", [TopicPattern::everything()]).with_single_active()
}

async fn measure_ours() -> f64 {
    let vhost = Vhost::create().await;
    let options = RabbitOptions::new(&vhost.url()).unwrap().with_confirm_window(WINDOW);
    let rabbit = RabbitMq::start(options);
    let bus = rabbit.bus(Exchange::new(EXCHANGE).unwrap());
    bus.declare(&group()).await.unwrap();
    let begin = Instant::now();
    let mut under_way: VecDeque<Receipt> = VecDeque::with_capacity(WINDOW);
    for _ in 0..MESSAGES {
        if under_way.len() == WINDOW {
            under_way.pop_front().unwrap().accepted().await.unwrap();
        }
        under_way.push_back(bus.publish(message()).await.unwrap());
    }
    for receipt in under_way {
        receipt.accepted().await.unwrap();
    }
    let rate = MESSAGES as f64 / begin.elapsed().as_secs_f64();
    rabbit.close().await;
    rate
}

/// Messages a second of the driver alone, with the same headers and body, on a queue declared in the same way.
pub(crate) async fn measure_bare(messages: usize, window: usize) -> f64 {
    let vhost = Vhost::create().await;
    let rabbit = RabbitMq::start(RabbitOptions::new(&vhost.url()).unwrap());
    rabbit.bus(Exchange::new(EXCHANGE).unwrap()).declare(&group()).await.unwrap();
    rabbit.close().await;

    let connection = Connection::connect(&vhost.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let begin = Instant::now();
    let mut under_way = VecDeque::with_capacity(window);
    for _ in 0..messages {
        if under_way.len() == window {
            confirmed(under_way.pop_front().unwrap()).await;
        }
        under_way.push_back(publish(&channel).await);
    }
    for confirmation in under_way {
        confirmed(confirmation).await;
    }
    let rate = messages as f64 / begin.elapsed().as_secs_f64();
    connection.close(200, "done".into()).await.unwrap();
    rate
}

async fn publish(channel: &Channel) -> lapin::PublisherConfirm {
    let message = message();
    let mut headers = FieldTable::default();
    for (name, value) in cloudevents::to_headers(&message) {
        headers.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(message.id().as_str().into())
        .with_content_type("application/json".into())
        .with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    channel
        .basic_publish(EXCHANGE.into(), "student.updated".into(), options, message.body(), properties)
        .await
        .unwrap()
}

async fn confirmed(confirmation: lapin::PublisherConfirm) {
    let confirmation = confirmation.await.unwrap();
    assert!(matches!(confirmation, Confirmation::Ack(None)), "{confirmation:?}");
}
