//! The servers, a relay before each, and two of each host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tbx_it::{Server, Servers, Setup, Tbx, within};
use tbx_services::{Database, Keyspace, Relay, Vhost};

use super::compose;

/// A host of the system: which, and which of the two.
pub(super) type Slot = (&'static str, usize);

pub(super) const SLOTS: [Slot; 6] =
    [("api", 0), ("api", 1), ("worker", 0), ("worker", 1), ("notifier", 0), ("notifier", 1)];

/// Where hosts listen now; those that do not run are absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<BTreeMap<Slot, SocketAddr>>>);

impl Addresses {
    /// Where a host of this kind listens; another each time there are two.
    pub(super) fn pick(&self, service: &str, turn: usize) -> Option<SocketAddr> {
        let addresses = self.0.lock().unwrap();
        let running: Vec<_> = addresses.iter().filter(|((name, _), _)| *name == service).collect();
        running.get(turn % running.len().max(1)).map(|(_, address)| **address)
    }

    /// Where all hosts of this kind listen.
    pub(super) fn all(&self, service: &str) -> Vec<SocketAddr> {
        let addresses = self.0.lock().unwrap();
        addresses.iter().filter(|((name, _), _)| *name == service).map(|(_, address)| *address).collect()
    }

    fn set(&self, slot: Slot, address: Option<SocketAddr>) {
        let mut addresses = self.0.lock().unwrap();
        match address {
            Some(address) => addresses.insert(slot, address),
            None => addresses.remove(&slot),
        };
    }
}

/// Everything.
pub(super) struct System {
    pub(super) vhost: Vhost,
    pub(super) database: Database,
    relays: [Relay; 3],
    setup: Setup,
    hosts: BTreeMap<Slot, Tbx>,
    addresses: Addresses,
    // Last: what is in the servers is deleted before others may use them.
    pub(super) servers: Servers,
}

impl System {
    /// Starts everything from nothing.
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with other settings of the hosts.
    pub(super) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let servers = Servers::take().await;
        let vhost = Vhost::create_at(&servers.url(Server::RabbitMq).await, &servers.management_url().await);
        let database = Database::absent_at(&servers.url(Server::Postgres).await);
        let keyspace = Keyspace::at(&servers.url(Server::Redis).await);
        keyspace.clear_server();
        let relays = [
            Relay::start(vhost.address()).await,
            Relay::start(keyspace.address()).await,
            Relay::start(database.address()).await,
        ];
        let mut setup = Setup::new().with("TBX_LOG", "info");
        for (name, value) in compose::environment() {
            let value = match name.as_str() {
                "TBX_BUS_URL" => vhost.url_through(&relays[0]),
                "TBX_CACHE_URL" | "TBX_HISTORY_URL" => keyspace.url_through(&relays[1]),
                "TBX_DATABASE_URL" => database.url_through(&relays[2]),
                // Free ports, and no collector.
                name if name.ends_with("_LISTEN") || name.starts_with("OTEL_") => continue,
                _ => value,
            };
            setup = setup.with(&name, &value);
        }
        for (name, value) in settings {
            setup = setup.with(name, value);
        }
        let migrated = within("migrating", setup.command(&["migrate"]).output()).await.unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        let (hosts, addresses) = (BTreeMap::new(), Addresses::default());
        let mut system = Self { vhost, database, relays, setup, hosts, addresses, servers };
        for slot in SLOTS {
            system.start_host(slot).await;
        }
        system
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// The relay that all hosts reach a server by.
    pub(super) fn relay(&self, server: Server) -> &Relay {
        match server {
            Server::RabbitMq => &self.relays[0],
            Server::Redis => &self.relays[1],
            Server::Postgres => &self.relays[2],
        }
    }

    pub(super) fn host(&self, slot: Slot) -> &Tbx {
        &self.hosts[&slot]
    }

    pub(super) async fn start_host(&mut self, slot: Slot) {
        let host = self.setup.start_host(slot.0).await;
        self.addresses.set(slot, Some(host.address(slot.0)));
        self.hosts.insert(slot, host);
    }

    /// Takes a host out, still running, for whoever ends it.
    pub(super) fn take_host(&mut self, slot: Slot) -> Tbx {
        self.addresses.set(slot, None);
        self.hosts.remove(&slot).unwrap()
    }

    /// Ends every host in good order: each exits with 0 and none has panicked.
    pub(super) async fn end(mut self) {
        let mut ending = Vec::new();
        for slot in SLOTS {
            let host = self.take_host(slot);
            host.terminate().await;
            ending.push((slot, host));
        }
        for (slot, host) in ending {
            let (status, log) = host.ended().await;
            assert!(status.success(), "{slot:?} ended with {status}:\n{}", tail(&log));
            assert!(!log.contains("panicked"), "{slot:?} panicked:\n{log}");
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
