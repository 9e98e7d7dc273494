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
    traffic.reaches(50).await;
    let begin = Instant::now();
    let (mut memory, mut recoveries) = (Memory::new(length), Vec::new());
    while begin.elapsed() < length {
        let fault = Fault::any();
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
    let (faults, worst) = (recoveries.len(), recoveries[recoveries.len() - 1]);
    println!("any faults, {faults} of them: {told}; seen again by every client after {worst:.1?} at worst");
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

impl Fault {
    fn any() -> Self {
        let server = Server::ALL[fastrand::usize(..Server::ALL.len())];
        let slot = (["api", "worker", "notifier"][fastrand::usize(..3)], 1);
        match fastrand::u8(..9) {
            0 => Self::KillHost(slot),
            1 => Self::StopHost(slot),
            2 => Self::StandStill,
            3 => Self::KillServer(server),
            4 => Self::StopServer(server),
            5 => Self::Cut(server),
            6 => Self::Silence(server),
            7 => Self::Alarm,
            _ => Self::FullQueue,
        }
    }

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
