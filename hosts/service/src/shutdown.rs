//! SIGTERM and SIGINT.

use std::io;

use tokio::task::AbortHandle;

/// A request to end, by SIGTERM or SIGINT (Ctrl-C).
///
/// Keep it until the process has ended in good order: as long as it lives, a second signal ends the process at
/// once with exit code 1. Dropping it stops listening for that one.
#[derive(Debug)]
#[must_use = "dropping it stops listening for the second signal"]
pub struct ShutdownSignal {
    name: &'static str,
    second: AbortHandle,
}

impl ShutdownSignal {
    /// Waits for the first signal. Signals are caught from the first poll on, so start it early.
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers.
    pub async fn listen() -> io::Result<Self> {
        let mut signals = Signals::install()?;
        let name = signals.next().await;
        tracing::info!(signal = name, "shutting down, a second signal ends at once");
        let second = tokio::spawn(async move {
            let name = signals.next().await;
            tracing::error!(signal = name, "second signal, ending at once");
            std::process::exit(1);
        });
        Ok(Self { name, second: second.abort_handle() })
    }

    /// `SIGTERM` or `SIGINT`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl Drop for ShutdownSignal {
    fn drop(&mut self) {
        self.second.abort();
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    async fn next(&mut self) -> &'static str {
        self.interrupt.recv().await;
        "SIGINT"
    }
}
