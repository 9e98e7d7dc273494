//! Many clients of both kinds, cut off again and again.

use std::sync::Arc;

use tbx_it::crowd::{Member, publish, publish_and_forget};
use tbx_it::{Follower, Heard, Setup, Way, eventually, within};
use tokio::sync::watch;
use tokio::task::JoinSet;

const CLIENTS: usize = 200;
const CUTS: usize = 10;
const NOTIFICATIONS: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_cut_off_ten_times_each_see_every_notification_once_and_in_order() {
    let tbx = Setup::new().start().await;
    let (_moves, address) = watch::channel(tbx.address("notifier"));
    let mut crowd = JoinSet::new();
    for index in 0..CLIENTS {
        let (member, joined) = Member::join(index, address.clone()).await;
        // The rarest pattern matches every eighth notification.
        crowd.spawn(member.follow(joined, CUTS, NOTIFICATIONS / 8 / (CUTS + 1)));
    }
    let published = publish(address, NOTIFICATIONS, Arc::default()).await;
    let crowd = crowd.join_all().await;
    for member in &crowd {
        let (seen, cuts) = member.verify(&published);
        assert!(seen > NOTIFICATIONS / 8 && cuts == CUTS, "{seen} seen, {cuts} cuts");
    }
    let answer = tbx.notifier().get("/api/notifications?limit=1").await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_older_than_the_history_is_told_and_one_of_a_quiet_topic_is_not() {
    let tbx = Setup::new().with("TBX_HISTORY_MAX_COUNT", "100").start().await;
    let (_moves, address) = watch::channel(tbx.address("notifier"));
    let mut client = tbx.notifier();
    let quiet = serde_json::json!({ "topic": "quiet", "event": "Once", "data": 0 });
    assert_eq!(client.json(http::Method::POST, "/api/notifications", &quiet).await.unwrap().status, 202);
    let page = client.get("/api/notifications?from=oldest").await.unwrap().json();
    let after_quiet = page["next"].as_str().unwrap().to_owned();
    publish_and_forget(address, 300).await;
    eventually("the history is trimmed", || async {
        let page = tbx.notifier().get("/api/notifications?from=oldest&limit=1000").await.unwrap().json();
        let kept = page["items"].as_array().unwrap().len();
        if kept <= 100 { Ok(()) } else { Err(format!("{kept} are kept")) }
    })
    .await;

    for way in [Way::Sse, Way::WebSocket] {
        for (topics, told) in [("load.#", Some("trimmed")), ("quiet,end", None)] {
            let mut follower = Follower::new(way, topics, Some(&after_quiet));
            let mut connection = follower.connect(tbx.address("notifier")).await.unwrap();
            assert_eq!(within("connected", follower.next(&mut connection)).await, Some(Heard::Connected));
            let next = within("something", follower.next(&mut connection)).await.unwrap();
            match told {
                Some(reason) => assert_eq!(next, Heard::Gap(reason.to_owned()), "{way:?} {topics}"),
                None => assert_eq!(next, Heard::Event("End".to_owned()), "{way:?} {topics}"),
            }
        }
    }
}
