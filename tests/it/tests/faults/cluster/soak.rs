//! Any fault at any time, for as long as one likes: an hour by `TBX_TEST_SOAK_SECONDS=3600`, with a fault each minute.

use std::time::Duration;

use tbx_it::Server;
use tokio::time::Instant;

use super::memory::{self, Memory};
use super::system::{Slot, System};
use super::traffic::Traffic;
use super::{connections, hosts, pressure, servers};

/// A look at memory this often.
const LOOK: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_in_any_order_lose_and_repeat_nothing_and_memory_stays() {
    let seconds = std::env::var("TBX_TEST_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let length = seconds.map_or_else(super::length, Duration::from_secs);
    let mut system = System::start_with(&[("TBX_HISTORY_MAX_COUNT", "20000")]).await;
    memory::fill(&system, length).await;
    let traffic = Traffic::start_with(system.addresses(), 50);
    traffic.hurries_to(memory::rush(length)).await;
    if memory::is_judged(length) {
        // What piles up in an outage is the most that a host ever holds, and it keeps the room for it, so each server is away once before looking begins.
        for server in Server::ALL {
            Fault::StopServer(server).happen(&mut system).await;
            traffic.recovers().await;
        }
    }
    let begin = Instant::now();
    let (mut memory, mut recoveries) = (Memory::new(length), Vec::new());
    let mut faults = Faults::new();
    while begin.elapsed() < length {
        let fault = faults.draw();
        fault.happen(&mut system).await;
        let recovery = traffic.recovers().await;
        println!("       {:>4.0?}: {fault:?}, seen again after {recovery:.1?}", begin.elapsed());
        recoveries.push(recovery);
        // A minute of an hour.
        let next = begin + (length / 60) * u32::try_from(recoveries.len()).unwrap();
        loop {
            memory.look(&system);
            if Instant::now() >= next {
                break;
            }
            tokio::time::sleep_until(next.min(Instant::now() + LOOK)).await;
        }
    }
    let told = traffic.finish(&system).await;
    recoveries.sort_unstable();
    let (count, worst) = (recoveries.len(), recoveries[recoveries.len() - 1]);
    println!("any faults, {count} of them: {told}; seen again by every client after {worst:.1?} at worst");
    memory.verify();
    system.end().await;
}

/// What may happen. Of each host only the second is ended, so that the first lives as long as the test.
#[derive(Debug, Clone, Copy)]
enum Fault {
    KillHost(Slot),
    StopHost(Slot),
    StandStill,
    KillServer(Server),
    StopServer(Server),
    Cut(Server),
    Silence(Server),
    Alarm,
    FullQueue,
}

/// Faults in an order that nobody knows, in rounds: each hits every server, a host, and the pace once. What is done to each of them comes in rounds
/// too. So ten minutes of an hour hit the same as any other ten, and what is held in memory can be compared.
struct Faults {
    targets: Vec<Deck<Fault>>,
    order: Deck<usize>,
}

impl Faults {
    fn new() -> Self {
        let to_server = [Fault::KillServer, Fault::StopServer, Fault::Cut, Fault::Silence];
        let to_host = [Fault::KillHost, Fault::StopHost];
        let mut targets: Vec<Vec<Fault>> =
            Server::ALL.map(|server| to_server.map(|fault| fault(server)).into()).into();
        let hosts = ["api", "worker", "notifier"];
        targets.push(hosts.into_iter().flat_map(|name| to_host.map(|fault| fault((name, 1)))).collect());
        targets.push(vec![Fault::StandStill, Fault::Alarm, Fault::FullQueue]);
        let order = Deck::of((0..targets.len()).collect());
        Self { targets: targets.into_iter().map(Deck::of).collect(), order }
    }

    fn draw(&mut self) -> Fault {
        self.targets[self.order.draw()].draw()
    }
}

/// Draws each before any comes again.
struct Deck<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Deck<T> {
    fn of(all: Vec<T>) -> Self {
        Self { all, left: Vec::new() }
    }

    fn draw(&mut self) -> T {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            fastrand::shuffle(&mut self.left);
        }
        self.left.pop().unwrap()
    }
}

impl Fault {
    async fn happen(self, system: &mut System) {
        match self {
            Self::KillHost(slot) => hosts::kill(system, slot).await,
            Self::StopHost(slot) => hosts::stop(system, slot).await,
            Self::StandStill => hosts::stand_still(system, ("api", 1)).await,
            Self::KillServer(server) => servers::end(system, server, true).await,
            Self::StopServer(server) => servers::end(system, server, false).await,
            Self::Cut(server) => connections::cut(system, server).await,
            Self::Silence(server) => connections::silence(system, server).await,
            Self::Alarm => pressure::block(system).await,
            Self::FullQueue => pressure::fill(system).await,
        }
    }
}
