//! Everything at once: what a reader is not told of, it must have seen.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tbx_notify::hub::{Next, Reader, Start};
use tbx_services::{Keyspace, Relay};
use tokio::task::JoinHandle;

use super::losses::Copy;
use super::{Node, within};

/// What a reader has seen, and how many appends had begun when it was last told of a gap.
#[derive(Default)]
struct Seen {
    bodies: Vec<String>,
    told_at: Option<usize>,
}

fn watch(mut reader: Reader, begun: Arc<AtomicUsize>) -> (Arc<Mutex<Seen>>, JoinHandle<()>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noting = Arc::clone(&seen);
    let watching = tokio::spawn(async move {
        loop {
            match reader.next().await {
                Next::Entry(entry) => {
                    let body = String::from_utf8(entry.notification().body().to_vec()).unwrap();
                    noting.lock().unwrap().bodies.push(body);
                }
                Next::Gap(_) => noting.lock().unwrap().told_at = Some(begun.load(Ordering::SeqCst)),
                other => panic!("{other:?}"),
            }
        }
    });
    (seen, watching)
}

/// Appends from both notifiers, one of them behind a relay, while the server forgets everything, goes back to an old copy, and is cut off.
async fn rounds(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let nodes = [Node::new(&keys).await, Node::behind(&relay, &keys).await];
    let begun = Arc::new(AtomicUsize::new(0));
    let readers = [0, 1].map(|node| watch(nodes[node].read("a", Start::Head), Arc::clone(&begun)));
    let mut copy = None;
    let append = async |random: &mut fastrand::Rng| {
        let number = begun.fetch_add(1, Ordering::SeqCst);
        nodes[random.usize(..2)].tell_in_the_end("a", &number.to_string()).await;
    };
    for _ in 0..25 {
        for _ in 0..random.usize(..8) {
            append(&mut random).await;
        }
        match random.usize(..5) {
            0 => keys.clear(),
            1 => copy = Some(Copy::take(&keys)),
            2 => {
                if let Some(copy) = &copy {
                    copy.restore(&keys);
                }
            }
            3 => relay.cut().await,
            _ => {
                // Away for a few appends of the other one.
                relay.refuse();
                relay.cut().await;
                for _ in 0..random.usize(1..4) {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    nodes[0].tell_in_the_end("a", &number.to_string()).await;
                }
                relay.accept();
            }
        }
    }
    // Until both have an entry that nothing was lost with: a loss that nobody has noticed yet may still take the next ones.
    let mut is_quiet = false;
    while !is_quiet {
        let number = begun.fetch_add(1, Ordering::SeqCst);
        nodes[random.usize(..2)].tell_in_the_end("a", &number.to_string()).await;
        is_quiet = true;
        for (seen, watching) in &readers {
            is_quiet &= within(async {
                loop {
                    assert!(!watching.is_finished());
                    {
                        let seen = seen.lock().unwrap();
                        if seen.bodies.contains(&number.to_string()) {
                            break true;
                        }
                        if seen.told_at.is_some_and(|told_at| told_at > number) {
                            break false;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
    for (seen, watching) in readers {
        watching.abort();
        let seen = seen.lock().unwrap();
        let distinct: BTreeSet<usize> = seen.bodies.iter().map(|body| body.parse().unwrap()).collect();
        let expected = seen.told_at.unwrap_or_default()..begun.load(Ordering::SeqCst);
        let missed: Vec<usize> = expected.filter(|number| !distinct.contains(number)).collect();
        assert!(missed.is_empty(), "seed {seed}: told at {:?}, missed {missed:?}", seen.told_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_server_loses_nobody_misses_anything_without_being_told() {
    // In 105, one notifier alone has seen what is lost, and the other goes on before it can tell.
    for seed in [3, 104, 105, 117] {
        rounds(seed).await;
    }
}
