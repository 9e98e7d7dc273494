//! From a bus into the history.

use std::sync::Arc;

use tbx_bus::consumer::Consumer;
use tbx_bus::{Group, MemoryBus, Message, Publisher, Topic, TopicPattern, TraceContext};
use tbx_notify::bridge::Bridge;
use tbx_notify::history::{History, MemoryHistory};
use tokio_util::sync::CancellationToken;

use super::support::within;

#[tokio::test]
async fn messages_enter_the_history_once_and_unusable_ones_become_dead_letters() {
    let (bus, history) = (MemoryBus::new(), Arc::new(MemoryHistory::default()));
    let group = Group::new("notifier", [TopicPattern::everything()]).with_single_active();
    let consumer = Consumer::new(Arc::new(bus.clone()), group, Bridge::new(history.clone()));
    let (stop, mut state) = (CancellationToken::new(), consumer.state());
    let running = tokio::spawn(consumer.run(stop.clone()));
    within(state.wait_for(|state| state.is_running())).await.unwrap();

    let trace = TraceContext::generate();
    let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "{}").with_trace(Some(trace.clone()));
    for _ in 0..2 {
        let finished = within(bus.publish(message.clone()).await.unwrap().finished()).await.unwrap();
        assert!(finished.into_dead_letters().is_empty());
    }
    let entries = history.read(0, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].notification().id(), entries[0].notification().event().as_str()),
        (message.id(), "Happened")
    );

    assert_eq!(entries[0].notification().trace().map(TraceContext::trace_id), Some(trace.trace_id()));

    let unusable = Message::new(Topic::new("a").unwrap(), "line\nbreak", "{}");
    let finished = within(bus.publish(unusable).await.unwrap().finished()).await.unwrap();
    assert_eq!(finished.into_dead_letters()[0].attempts, 1);
    stop.cancel();
    within(running).await.unwrap();
}
