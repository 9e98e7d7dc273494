//! Who can come in.

use tbx_service::Config;
use tbx_service::config::Auth;

use super::Finding;

/// That `auth off` stays on loopback addresses is a rule of the configuration itself.
pub(super) fn check(config: &Config) -> Finding {
    const NAME: &str = "auth";
    let addresses = [config.api_listen, config.notifier_listen, config.worker_listen];
    let exposed = addresses.into_iter().find(|address| !address.ip().to_canonical().is_loopback());
    match (config.auth, exposed) {
        (_, Some(address)) => Finding::warn(
            NAME,
            format!("{address} can be reached by other machines, and nobody is asked who they are"),
            "put it behind something that asks, or listen on 127.0.0.1",
        ),
        (Auth::Insecure, None) => Finding::ok(NAME, "insecure, and only this machine can come in"),
        _ => Finding::ok(NAME, "off, and only this machine can come in"),
    }
}
