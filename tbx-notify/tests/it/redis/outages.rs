//! A server that cannot be reached for a while.

use std::sync::Arc;

use tbx_notify::history::{History, RedisState};
use tbx_notify::hub::Start;
use tbx_services::{Keyspace, Relay};

use super::{Node, within};
use crate::support::{bodies, notification};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_however_often_the_connections_are_cut() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (one, cut) = (Node::new(&keys).await, Node::behind(&relay, &keys).await);
    let mut reader = cut.read("a", Start::Head);
    let wanted: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for (number, body) in wanted.iter().enumerate() {
        // In turn by both, so that appends are cut, too.
        [&one, &cut][number % 2].tell_in_the_end("a", body).await;
        if number % 25 == 0 {
            relay.cut().await;
        }
    }
    assert_eq!(bodies(&mut reader, 200).await, wanted);
    assert!(relay.accepted() > 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_silent_is_given_up_and_made_again() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (one, silent) = (Node::new(&keys).await, Node::behind(&relay, &keys).await);
    let mut reader = silent.read("a", Start::Head);
    let mut state = silent.history.state();
    assert_eq!(*state.borrow(), RedisState::Connected);
    relay.hold();
    one.tell("a", "1").await;
    within(state.wait_for(|state| matches!(state, RedisState::Away(_)))).await.unwrap();
    relay.release();
    one.tell("a", "2").await;
    assert_eq!(bodies(&mut reader, 2).await, ["1", "2"]);
    within(state.wait_for(|state| *state == RedisState::Connected)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_appends_fail_and_say_so_and_readers_wait() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let node = Node::behind(&relay, &keys).await;
    let mut reader = node.read("a", Start::Head);
    relay.refuse();
    relay.cut().await;
    let mut state = node.history.state();
    within(state.wait_for(|state| matches!(state, RedisState::Away(_)))).await.unwrap();
    let error = within(node.history.append(notification("a", "early"))).await.unwrap_err();
    assert!(error.to_string().contains("away"), "{error}");
    assert!(within(node.history.check()).await.is_err());
    relay.accept();
    node.tell_in_the_end("a", "in the end").await;
    assert_eq!(bodies(&mut reader, 1).await, ["in the end"]);
    within(node.history.check()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_history_takes_nothing_and_says_why() {
    let keys = Keyspace::new();
    let node = Node::new(&keys).await;
    node.tell("a", "taken").await;
    within(node.history.close()).await;
    assert_eq!(*node.history.state().borrow(), RedisState::Closed);
    let error = within(node.history.append(notification("a", "late"))).await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_dropped_stops_following() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let node = Node::behind(&relay, &keys).await;
    let (history, mut state) = (Arc::downgrade(&node.history), node.history.state());
    drop(node);
    within(async {
        while history.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Whoever could tell of the state is gone with the tasks.
    within(async { while state.changed().await.is_ok() {} }).await;
}
