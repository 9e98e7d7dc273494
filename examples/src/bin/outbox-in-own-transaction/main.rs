//! The outbox inside a transaction of one's own: the row of an order and the event that tells of it are committed together or not at all.
//!
//! The shop has its own database, its own tables and its own pool; `tbx-store` adds its tables beside them. A relay takes what was
//! committed to the bus, and a mailer on the bus writes one mail for each order, however often its event comes.
//!
//! - `shop.rs`: the transaction that writes both.
//! - `mailer.rs`: the handler, with the inbox.
//! - this file: relay and mailer at work, and what survives a process that dies.
//!
//! `cargo run -p tbx-examples --bin outbox-in-own-transaction [FILE]`

mod mailer;
mod shop;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use tbx_bus::consumer::Consumer;
use tbx_bus::{Group, MemoryBus, Subscriber, TopicPattern};
use tbx_store::outbox::{Relay, Route};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::mailer::{Mailer, Report};
use crate::shop::{CHANNEL, Shop};

type BoxError = Box<dyn Error + Send + Sync>;

/// Relay and mailer at work over a bus that forgets with the process.
///
/// What is done stays in the table to be looked at. A server that runs for long calls `OutboxStore::purge` now and then, or opens its
/// file with `tbx_store::sqlite::Database` and lets `Housekeeping` do it.
struct Work {
    relay: (CancellationToken, JoinHandle<()>),
    mailer: (CancellationToken, JoinHandle<()>),
    reports: mpsc::Receiver<Report>,
}

impl Work {
    async fn start(shop: &Shop) -> Result<Self, BoxError> {
        let bus = MemoryBus::new();
        let group = Group::new("mailer", [TopicPattern::new("order.*")?]).with_single_active();
        // Before the relay publishes: the bus refuses what nobody takes, and the relay would have to try again.
        bus.declare(&group).await?;

        let (sender, reports) = mpsc::channel(64);
        let mailer = Mailer { pool: shop.pool.clone(), reports: sender };
        let handler = tower::service_fn(move |incoming| mailer.clone().handle(incoming));
        let consumer = Consumer::new(Arc::new(bus.clone()), group, handler);
        let relay = Relay::new(Arc::new(shop.outbox.clone()), [Route::new(CHANNEL, Arc::new(bus))]);
        Ok(Self {
            relay: spawn_until_stopped(|stop| relay.run(stop)),
            mailer: spawn_until_stopped(|stop| consumer.run(stop)),
            reports,
        })
    }

    /// The relay first: it waits for what is under way, and for that the mailer has to be there.
    async fn stop(self) -> Result<(), BoxError> {
        for (stop, task) in [self.relay, self.mailer] {
            stop.cancel();
            task.await?;
        }
        Ok(())
    }
}

fn spawn_until_stopped<F>(run: impl FnOnce(CancellationToken) -> F) -> (CancellationToken, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(stop.clone()));
    (stop, task)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let file =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("tbx-shop.db"), PathBuf::from);
    println!("the shop's database is {}", file.display());
    let shop = Shop::open(&file).await?;
    shop.restock("teapot", 2).await?;
    let mut work = Work::start(&shop).await?;

    let mut placed = 0;
    for _ in 0..3 {
        match shop.place_order("teapot").await {
            Ok(number) => {
                placed += 1;
                println!("order {number} placed");
            }
            Err(error) => println!("order refused: {error}"),
        }
    }
    for _ in 0..placed {
        if let Some(Report { message, text, is_new }) = work.reports.recv().await {
            println!("mailer got {text} (message {message}, {})", if is_new { "new" } else { "known" });
        }
    }
    work.stop().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tbx_bus::consumer::Incoming;
    use tbx_store::outbox::{OutboxStats, OutboxStore};
    use tempfile::TempDir;

    use super::*;

    async fn open(folder: &TempDir) -> Shop {
        Shop::open(&folder.path().join("shop.db")).await.unwrap()
    }

    async fn count(shop: &Shop, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&shop.pool).await.unwrap()
    }

    async fn soon<T>(happens: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), happens).await.expect("it did not happen")
    }

    async fn next_report(work: &mut Work) -> Report {
        soon(work.reports.recv()).await.expect("the mailer lives")
    }

    /// Nothing is left in the outbox that could still be published.
    async fn check_all_settled(shop: &Shop) {
        let OutboxStats { pending, handed, dead, oldest: _ } = shop.outbox.stats().await.unwrap();
        assert_eq!((pending, handed, dead), (0, 0, 0));
    }

    #[tokio::test]
    async fn an_order_that_is_rolled_back_publishes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shop = open(&folder).await;
        shop.restock("teapot", 1).await.unwrap();
        shop.restock("cup", 1).await.unwrap();
        let mut work = Work::start(&shop).await.unwrap();

        shop.place_order("teapot").await.unwrap();
        shop.place_order("teapot").await.expect_err("there was only one");
        shop.place_order("cup").await.unwrap();
        // Orders have keys of their own and may overtake each other.
        let texts = [next_report(&mut work).await.text, next_report(&mut work).await.text];
        for item in ["teapot", "cup"] {
            assert!(texts.iter().any(|text| text.contains(item)), "{item} in {texts:?}");
        }
        work.stop().await.unwrap();

        check_all_settled(&shop).await;
        assert_eq!(count(&shop, "SELECT count(*) FROM orders").await, 2);
        assert_eq!(count(&shop, "SELECT count(*) FROM mails").await, 2);
    }

    #[tokio::test]
    async fn an_order_is_published_by_the_next_process_when_this_one_dies_after_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let shop = open(&folder).await;
        shop.restock("teapot", 1).await.unwrap();
        shop.place_order("teapot").await.unwrap();
        drop(shop);

        let shop = open(&folder).await;
        let mut work = Work::start(&shop).await.unwrap();
        assert!(next_report(&mut work).await.is_new);
        work.stop().await.unwrap();

        check_all_settled(&shop).await;
        assert_eq!(count(&shop, "SELECT count(*) FROM mails").await, 1);
    }

    #[tokio::test]
    async fn a_mail_is_written_once_when_the_process_dies_before_the_relay_hears_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let shop = open(&folder).await;
        shop.restock("teapot", 1).await.unwrap();
        shop.place_order("teapot").await.unwrap();
        let first_life = {
            let bus = MemoryBus::new();
            let group = Group::new("mailer", [TopicPattern::everything()]);
            let mut deliveries = bus.consume(&group).await.unwrap();
            let relay = Relay::new(Arc::new(shop.outbox.clone()), [Route::new(CHANNEL, Arc::new(bus))]);
            let (_stop, relaying) = spawn_until_stopped(|stop| relay.run(stop));
            let delivery = soon(deliveries.next()).await.unwrap().unwrap();
            let (sender, mut reports) = mpsc::channel(1);
            let mailer = Mailer { pool: shop.pool.clone(), reports: sender };
            let message = Arc::clone(delivery.message());
            mailer.handle(Incoming::new(message, "mailer".into(), 1, false)).await.unwrap();
            // The mail is written, and the process dies before anyone says so.
            relaying.abort();
            assert!(relaying.await.unwrap_err().is_cancelled());
            reports.recv().await.unwrap()
        };
        drop(shop);

        let shop = open(&folder).await;
        let mut work = Work::start(&shop).await.unwrap();
        let second_life = next_report(&mut work).await;
        work.stop().await.unwrap();

        assert_eq!(second_life.message, first_life.message);
        assert!(first_life.is_new && !second_life.is_new);
        check_all_settled(&shop).await;
        assert_eq!(count(&shop, "SELECT count(*) FROM mails").await, 1);
    }
}
