//! poem's own server.

use ::poem::{Endpoint, Middleware, Request, Result};

use super::Upgrade;

/// poem middleware that leaves the connection of a request in its extensions, where the services of this crate find it.
///
/// ```
/// use poem::endpoint::TowerCompatExt;
/// use poem::{EndpointExt, Route};
/// # use std::sync::Arc;
/// # use tbx_notify::history::MemoryHistory;
/// use tbx_notify::hub::{Hub, HubOptions};
/// use tbx_notify::upgrade::Upgradable;
/// # #[cfg(feature = "websocket")] {
/// use tbx_notify::websocket::WebSocketService;
///
/// # let hub = Hub::new(Arc::new(MemoryHistory::default()), HubOptions::default());
/// let app = Route::new().at("/ws", WebSocketService::new(hub).compat().with(Upgradable));
/// # drop(app);
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Upgradable;

impl<E: Endpoint> Middleware<E> for Upgradable {
    type Output = UpgradableEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        UpgradableEndpoint(inner)
    }
}

/// Endpoint of [`Upgradable`].
#[derive(Debug)]
pub struct UpgradableEndpoint<E>(E);

impl<E: Endpoint> Endpoint for UpgradableEndpoint<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<E::Output> {
        // A request that upgrades nothing has no handle.
        if let Ok(handle) = request.take_upgrade() {
            request.extensions_mut().insert(Upgrade::new(handle));
        }
        self.0.call(request).await
    }
}
