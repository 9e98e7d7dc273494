//! Taking over the connection beneath a request, whatever server it came from.
//!
//! Servers hand over upgraded connections each in their own way. The services of this crate take an [`Upgrade`] from the extensions of the
//! request; where there is none they know hyper's own handle (feature `hyper`).
//!
//! | server | what to do |
//! |---|---|
//! | hyper, `with_upgrades()` | feature `hyper`; nothing else |
//! | axum | feature `hyper`; nothing else: `Router::route_service` passes hyper's handle on |
//! | poem's own server | feature `poem`; mount the service behind [`Upgradable`], because poem's `compat()` loses the handle |
//! | any other | put an [`Upgrade`] made with [`Upgrade::new`] into the extensions |

#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "poem")]
mod poem;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "poem")]
pub use self::poem::{Upgradable, UpgradableEndpoint};

/// A connection that was taken over.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Ends with the connection once the answer 101 is on its way.
pub(crate) type Upgrading = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, UpgradeError>> + Send>>;

/// The connection beneath a request, to be taken over once. Travels in the extensions of the request; clones are the same connection.
#[derive(Clone)]
pub struct Upgrade(Arc<Mutex<Option<Upgrading>>>);

impl Upgrade {
    /// A connection that a server hands over when `upgrading` ends, which it does after the answer.
    #[must_use]
    pub fn new<F, T, E>(upgrading: F) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Io,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let upgrading = async move {
            match upgrading.await {
                Ok(io) => Ok(Box::new(io) as Box<dyn Io>),
                Err(error) => Err(UpgradeError(error.into())),
            }
        };
        Self(Arc::new(Mutex::new(Some(Box::pin(upgrading)))))
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn take(&self) -> Option<Upgrading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The connection beneath a request, when its server hands it over.
    #[cfg(feature = "websocket")]
    pub(crate) fn of(parts: &mut http::request::Parts) -> Option<Upgrading> {
        if let Some(upgrade) = parts.extensions.remove::<Self>() {
            return upgrade.take();
        }
        #[cfg(feature = "hyper")]
        if let Some(handle) = parts.extensions.remove::<::hyper::upgrade::OnUpgrade>() {
            return Self::from(handle).take();
        }
        None
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        f.debug_struct("Upgrade").field("taken", &taken).finish()
    }
}

/// The server did not hand the connection over.
#[derive(Debug)]
pub struct UpgradeError(Box<dyn Error + Send + Sync>);

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server did not hand the connection over")
    }
}

impl Error for UpgradeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.as_ref())
    }
}
