//! hyper, and the servers that run on it.

use ::hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::Upgrade;

impl From<OnUpgrade> for Upgrade {
    fn from(handle: OnUpgrade) -> Self {
        Self::new(async move { handle.await.map(TokioIo::new) })
    }
}
