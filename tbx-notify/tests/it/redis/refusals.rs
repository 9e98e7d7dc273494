//! A server that cannot be used: what is wrong, and what to do.

use std::error::Error;

use tbx_notify::history::{History, RedisFacts, RedisHistory, RedisHistoryOptions, Retention};
use tbx_services::Keyspace;

use super::within;
use crate::support::notification;

async fn refusal(url: &str, keys: &Keyspace) -> String {
    let options = RedisHistoryOptions::new(url, Retention::default()).with_prefix(keys.prefix());
    let error = within(RedisHistory::open(options)).await.unwrap_err();
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}")
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_repeated() {
    let keys = Keyspace::new();
    let (_, address) = keys.url().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for url in [format!("redis://:wrong-secret@{address}"), format!("redis://{address}")] {
        let refusal = refusal(&url, &keys).await;
        assert!(refusal.contains("user and password"), "{refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let keys = Keyspace::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refusal = refusal(&format!("redis://:secret@{address}"), &keys).await;
    assert!(!refusal.contains("secret"), "{refusal}");
    assert!(refusal.contains(&address) && refusal.contains("start Redis"), "{refusal}");
}

#[tokio::test]
async fn a_number_of_which_there_is_no_database_is_told_at_once() {
    let keys = Keyspace::new();
    let url = keys.url();
    let start = url.find("://").unwrap() + 3;
    let end = url[start..].find('/').map_or(url.len(), |end| start + end);
    let refusal = refusal(&format!("{}/999999", &url[..end]), &keys).await;
    assert!(refusal.contains("no database of that number"), "{refusal}");
}

#[tokio::test]
async fn an_address_that_is_none_is_told() {
    let keys = Keyspace::new();
    let none = refusal("http://host", &keys).await;
    assert!(none.contains("redis://"), "{none}");
}

#[tokio::test]
async fn a_user_may_do_what_the_message_says_it_must_and_no_more() {
    let keys = Keyspace::new();
    let mut connection = redis::Client::open(keys.url()).unwrap().get_connection().unwrap();
    let (user, prefix) = (format!("u{}", keys.prefix()), keys.prefix());
    let (_, address) = keys.url().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let url = format!("redis://{user}:pass@{address}");
    let mut permit = |rules: &[&str]| {
        redis::cmd("ACL").arg("SETUSER").arg(&user).arg(rules).exec(&mut connection).unwrap();
    };
    permit(&["reset", "on", ">pass", "+@connection"]);
    let refusal = refusal(&url, &keys).await;
    let (_, granted) = refusal.split_once("of the prefix, and ").unwrap();
    let granted: Vec<&str> = granted
        .split_whitespace()
        .map(|rule| rule.trim_end_matches(':'))
        .take_while(|rule| rule.starts_with('+'))
        .collect();
    permit(&granted);
    permit(&[&format!("~{{{prefix}}}:*")]);
    let options = RedisHistoryOptions::new(&url, Retention::default()).with_prefix(prefix);
    let facts = within(RedisFacts::of(&options)).await.unwrap();
    assert!(facts.version.is_some() && facts.append_fsync.is_none());
    let history = within(RedisHistory::open(options)).await.unwrap();
    within(history.append(notification("a", "allowed"))).await.unwrap();
    within(history.close()).await;
    redis::cmd("ACL").arg("DELUSER").arg(&user).exec(&mut connection).unwrap();
}

#[tokio::test]
async fn keys_of_another_version_are_left_alone() {
    let keys = Keyspace::new();
    let mut connection = redis::Client::open(keys.url()).unwrap().get_connection().unwrap();
    let state = format!("{{{}}}:state", keys.prefix());
    redis::cmd("HSET")
        .arg(&state)
        .arg(&["format", "9", "epoch", "7", "newest", "0", "floor", "0"])
        .exec(&mut connection)
        .unwrap();
    let refusal = refusal(&keys.url(), &keys).await;
    assert!(refusal.contains("choose another prefix"), "{refusal}");
}

#[tokio::test]
async fn how_a_server_is_set_up_can_be_asked() {
    let keys = Keyspace::new();
    let facts = within(RedisFacts::of(&RedisHistoryOptions::new(keys.url(), Retention::default()))).await;
    let facts = facts.unwrap();
    assert!(facts.version.is_some() && facts.append_only.is_some() && facts.append_fsync.is_some());
    assert!(facts.eviction.is_some() && facts.clock_skew.is_some());
    assert_eq!(facts.is_replica, Some(false));
}
