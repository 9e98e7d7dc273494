//! Keeps one connection alive for ever: connects, watches, and begins again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Connection, Event};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RabbitOptions;
use super::dial::{Dialled, dial};
use super::frames::Frames;
use super::state::{Counters, LinkState, Role, States, count};
use crate::{Backoff, BusError, BusErrorKind};

/// One connection, until it is lost.
#[derive(Debug)]
pub(super) struct Link {
    dialled: Dialled,
    /// Cancelled once the connection is of no use any more.
    lost: CancellationToken,
    why: OnceLock<String>,
    blocked: watch::Sender<bool>,
    /// See [`Link::careful_until`].
    careful_until: Option<Instant>,
}

impl Link {
    pub(super) fn connection(&self) -> &Connection {
        &self.dialled.connection
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Gives the connection up; the supervisor makes another.
    pub(super) fn give_up(&self, why: &str) {
        let _ = self.why.set(why.to_owned());
        self.lost.cancel();
    }

    /// Whether the broker takes no messages. Asks the connection itself, which knows a moment earlier than any event tells.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection().status().blocked()
    }

    /// Until when to take one message at a time. The last connection ended over one that cannot be received, and whatever comes along with that
    /// counts as delivered each time, until it is given up for what is not its fault.
    pub(super) fn careful_until(&self) -> Option<Instant> {
        self.careful_until.filter(|until| *until > Instant::now())
    }

    pub(super) fn blocked(&self) -> watch::Receiver<bool> {
        self.blocked.subscribe()
    }

    pub(super) fn disconnected(&self, context: &str) -> BusError {
        let why = self.why.get().map_or("the connection ended", String::as_str);
        BusError::new(BusErrorKind::Disconnected, format!("{context}: {why}"))
    }
}

/// Where everyone finds the present connection.
#[derive(Debug, Clone)]
pub(super) struct Links {
    current: watch::Receiver<Current>,
}

#[derive(Debug, Clone)]
enum Current {
    Link(Arc<Link>),
    None(Option<Arc<str>>),
    Closed,
}

impl Links {
    /// Waits for a connection that is not known to be lost.
    ///
    /// # Errors
    ///
    /// `Closed` when the bus is closed, `Disconnected` when there is none by the deadline.
    pub(super) async fn get(&self, deadline: Instant, context: &str) -> Result<Arc<Link>, BusError> {
        let mut current = self.current.clone();
        let mut link = None;
        let found = current.wait_for(|current| match current {
            Current::Link(found) if !found.lost.is_cancelled() => {
                link = Some(Arc::clone(found));
                true
            }
            Current::Closed => true,
            Current::Link(_) | Current::None(_) => false,
        });
        let timed_out = match tokio::time::timeout_at(deadline, found).await {
            Ok(Ok(_)) | Ok(Err(_)) => false,
            Err(_) => true,
        };
        match link {
            Some(link) => Ok(link),
            None if timed_out => Err(BusError::new(
                BusErrorKind::Disconnected,
                format!("{context}: not connected to the broker{}", self.why_not()),
            )),
            None => Err(BusError::new(BusErrorKind::Closed, context)),
        }
    }

    /// The present connection, if there is one.
    pub(super) fn present(&self) -> Option<Arc<Link>> {
        match &*self.current.borrow() {
            Current::Link(link) if !link.lost.is_cancelled() => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// Why there is none, as far as it is known.
    pub(super) fn why_not(&self) -> String {
        match &*self.current.borrow() {
            Current::None(Some(why)) => format!(": {why}"),
            _ => String::new(),
        }
    }
}

/// What a supervisor is made of.
#[derive(Debug)]
pub(super) struct Supervisor {
    options: Arc<RabbitOptions>,
    role: Role,
    states: Arc<States>,
    counters: Arc<Counters>,
    current: watch::Sender<Current>,
    /// The frames that the next connection asks for.
    wanted: Frames,
    /// Whether the next connection is a careful one.
    is_careful: bool,
    stop: CancellationToken,
}

/// A connection that lasted so long was a good one: the next failure is the first again.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// A connection that lasts so long has nothing to be careful about any more.
const CAREFUL_FOR: Duration = Duration::from_secs(60);
/// It is no use to wait longer for a message that has to fail some dozens of times before the broker gives it up.
const CAREFUL_FAILURES: u32 = 3;
/// Events tell of every end that lapin knows of. Whoever watches over others does not rely on being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for why a connection has ended, once it is known that it has.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(100);

impl Supervisor {
    pub(super) fn new(
        options: Arc<RabbitOptions>,
        role: Role,
        states: Arc<States>,
        counters: Arc<Counters>,
        stop: CancellationToken,
    ) -> (Self, Links) {
        let (current, links) = watch::channel(Current::None(None));
        let wanted = Frames::Small;
        (
            Self { options, role, states, counters, current, wanted, is_careful: false, stop },
            Links { current: links },
        )
    }

    /// Runs until it is stopped.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep_connected() => {}
        }
        let last = self.current.send_replace(Current::Closed);
        if let Current::Link(link) = last {
            // Those who hold it are told first that it is over, and then with `Closed` that it is for good.
            link.give_up("the bus is closed");
            link.dialled.say_goodbye().await;
        }
        self.states.set(self.role, LinkState::Closed);
    }

    async fn keep_connected(&mut self) {
        let mut failures = 0;
        loop {
            let start = Instant::now();
            let (why, needs_a_person) = match dial(&self.options, self.role.as_str(), self.wanted).await {
                Ok(dialled) => {
                    count(&self.counters.connected);
                    tracing::info!(broker = %self.options, role = self.role.as_str(), "connected");
                    self.look_at_frames(&dialled.connection);
                    let why = self.watch_over(dialled).await;
                    count(&self.counters.disconnected);
                    if self.is_careful {
                        failures = failures.min(CAREFUL_FAILURES - 1);
                    }
                    (why, false)
                }
                Err(error) => {
                    let cause = error.source.as_ref().map(super::error::told);
                    let why = match cause {
                        Some(cause) => format!("{}: {cause}", error.message),
                        None => error.message,
                    };
                    (why, error.needs_a_person)
                }
            };
            if start.elapsed() >= GOOD_AFTER + self.options.connect_timeout {
                failures = 0;
            }
            failures += 1;
            // What only a person can mend is not mended sooner by asking more often.
            let delay = match needs_a_person {
                true => self.options.backoff.delay(failures).max(Backoff::patient().delay(failures)),
                false => self.options.backoff.delay(failures),
            };
            let delay_ms = delay.as_millis() as u64;
            tracing::warn!(broker = %self.options, role = self.role.as_str(), why, delay_ms, "not connected");
            self.states.set(self.role, LinkState::Connecting(Some(why.clone())));
            self.current.send_replace(Current::None(Some(why.into())));
            tokio::time::sleep(delay).await;
        }
    }

    /// Lends the connection to everyone until it is lost, and tells why it was.
    async fn watch_over(&mut self, dialled: Dialled) -> String {
        // The only listener: lapin shares its events out among listeners, one event to one of them.
        let mut events = dialled.connection.events_listener();
        let link = Arc::new(Link {
            dialled,
            lost: CancellationToken::new(),
            why: OnceLock::new(),
            blocked: watch::Sender::new(false),
            careful_until: std::mem::take(&mut self.is_careful).then(|| Instant::now() + CAREFUL_FOR),
        });
        self.current.send_replace(Current::Link(Arc::clone(&link)));
        self.states.set(self.role, LinkState::Running);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut is_told = false;
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = link.lost.cancelled() => break,
                _ = look.tick() => {
                    let status = link.connection().status();
                    if !status.connected() {
                        link.give_up("the connection ended");
                    }
                    continue;
                }
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(broker = %self.options, role = self.role.as_str(), reason, "blocked");
                    self.states.set(self.role, LinkState::Blocked(reason));
                    link.blocked.send_replace(true);
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(broker = %self.options, role = self.role.as_str(), "unblocked");
                    self.states.set(self.role, LinkState::Running);
                    link.blocked.send_replace(false);
                }
                // Lapin tells errors of channels here too.
                Some(Event::Error(error)) if super::error::ends_connection(&error) => {
                    is_told = true;
                    self.learn_from(&error);
                    link.give_up(&super::error::told(&error));
                }
                Some(_) => {}
                None => {
                    link.give_up("the connection ended");
                    break;
                }
            }
        }
        // Whoever gave it up may have seen no more than that it ended, a moment before lapin tells why.
        let told = async {
            while let Some(event) = events.next().await {
                if let Event::Error(error) = event
                    && super::error::ends_connection(&error)
                {
                    return Some(error);
                }
            }
            None
        };
        if !is_told && let Ok(Some(error)) = tokio::time::timeout(LAST_WORDS, told).await {
            self.learn_from(&error);
            return super::error::told(&error);
        }
        link.why.get().cloned().unwrap_or_default()
    }

    /// Takes from how one connection ended what the next one is to be like.
    fn learn_from(&mut self, error: &lapin::Error) {
        let (is_large, is_unreadable) =
            (super::error::is_large_frame(error), super::error::is_unreadable(error));
        if is_unreadable || is_large && self.wanted == Frames::Large {
            self.is_careful = self.role == Role::Consuming;
            let what = if is_large { "has headers larger than a frame may be" } else { "is no valid AMQP" };
            tracing::error!(
                broker = %self.options,
                role = self.role.as_str(),
                "a message {what}; it ends the connection until its deliveries are over, unless a shovel moves it"
            );
        }
        if is_large {
            self.wanted = Frames::Large;
        }
    }

    fn look_at_frames(&self, connection: &Connection) {
        let agreed = connection.configuration().frame_max();
        if Frames::are_too_small(agreed) {
            tracing::warn!(
                broker = %self.options,
                frame_max = agreed,
                "the broker allows only small frames, and ends connections that send large headers; set its `frame_max` to 16384 or more"
            );
        }
    }
}
