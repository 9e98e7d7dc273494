//! Many clients of both kinds, cut off again and again, while the notifier is killed and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tbx_it::crowd::{Member, publish};
use tbx_it::{Setup, eventually};
use tokio::sync::watch;
use tokio::task::JoinSet;

const CLIENTS: usize = 200;
const CUTS: usize = 10;
const NOTIFICATIONS: usize = 2_000;
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_miss_nothing_and_see_nothing_twice_across_a_kill_of_the_notifier() {
    let setup = Setup::new();
    let mut tbx = setup.start().await;
    let (moves, address) = watch::channel(tbx.address("notifier"));
    let mut crowd = JoinSet::new();
    for index in 0..CLIENTS {
        let (member, joined) = Member::join(index, address.clone()).await;
        crowd.spawn(member.follow(joined, CUTS, NOTIFICATIONS / 8 / (CUTS + 1)));
    }
    let taken = Arc::new(AtomicUsize::new(0));
    let publishing = tokio::spawn(publish(address, NOTIFICATIONS, Arc::clone(&taken)));
    for kill in 1..=KILLS {
        let goal = NOTIFICATIONS * kill / (KILLS + 1);
        eventually("notifications flow", || async {
            let taken = taken.load(Ordering::Relaxed);
            if taken >= goal { Ok(()) } else { Err(format!("{taken} of {goal}")) }
        })
        .await;
        // Any moment.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        tbx.kill().await;
        tbx = setup.start().await;
        moves.send_replace(tbx.address("notifier"));
    }
    let published = publishing.await.unwrap();
    let crowd = crowd.join_all().await;
    for member in &crowd {
        let (seen, _) = member.verify(&published);
        assert!(seen > NOTIFICATIONS / 8, "{seen} seen");
    }
}
