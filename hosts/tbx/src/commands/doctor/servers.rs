//! The servers: does each answer, and is it set up right?

use tbx_service::config::{BusUrl, CacheUrl, SecretUrl};
use tbx_service::{Config, chain};

use super::Finding;

/// By how many seconds clocks may differ before it is worth a word.
const MAX_SKEW: u64 = 5;

/// PostgreSQL.
pub(super) async fn database(url: &SecretUrl) -> Finding {
    const NAME: &str = "database";
    match tbx_backends::database(url).await {
        Err(error) => Finding::fail(NAME, chain(&error), ""),
        Ok(facts) => {
            let shown = format!("PostgreSQL {} at {url}", facts.version);
            if let Some(schema) = facts.schema {
                Finding::warn(NAME, format!("{shown}, {schema}"), "run `tbx migrate`; a start does it too")
            } else if !facts.is_durable {
                Finding::fail(
                    NAME,
                    format!("{shown}, an answered write may be lost in a crash"),
                    "set fsync and synchronous_commit to on",
                )
            } else if facts.ahead.unsigned_abs() > MAX_SKEW {
                let skew = format!("{shown}, its clock differs by {} s", facts.ahead);
                Finding::warn(NAME, skew, "synchronize the clocks of both machines")
            } else {
                Finding::ok(NAME, format!("{shown}, schema up to date"))
            }
        }
    }
}

/// RabbitMQ, where it is used.
pub(super) async fn bus(config: &Config) -> Option<Finding> {
    const NAME: &str = "bus";
    let BusUrl::Amqp(url) = &config.bus_url else { return None };
    Some(match tbx_backends::broker(url).await {
        Err(error) => Finding::fail(NAME, chain(&error), ""),
        Ok(facts) => {
            let product = facts.product.as_deref().unwrap_or("a broker");
            let version = facts.version.as_deref().unwrap_or("of unknown version");
            let shown = format!("{product} {version} at {url}");
            match facts.is_too_old() {
                true => Finding::fail(NAME, shown, "install RabbitMQ 3.10 or later"),
                false => Finding::ok(NAME, shown),
            }
        }
    })
}

/// Redis as the cache, where it is used.
pub(super) async fn cache(config: &Config) -> Option<Finding> {
    const NAME: &str = "cache";
    let CacheUrl::Redis(url) = &config.cache_url else { return None };
    Some(match tbx_backends::redis("TBX_CACHE_URL", url).await {
        Err(error) => Finding::fail(NAME, chain(&error), "until then reads go to the database"),
        Ok(facts) => Finding::ok(NAME, format!("Redis {} at {url}", facts.version.unwrap_or_default())),
    })
}

/// Redis as the history.
pub(super) async fn history(url: &SecretUrl) -> Finding {
    const NAME: &str = "history";
    match tbx_backends::redis("TBX_HISTORY_URL", url).await {
        Err(error) => Finding::fail(NAME, chain(&error), ""),
        Ok(facts) => {
            let shown = format!("Redis {} at {url}", facts.version.as_deref().unwrap_or_default());
            match facts.complaints().as_slice() {
                [] => Finding::ok(NAME, format!("{shown}, kept over restarts, nothing evicted")),
                complaints => Finding::warn(NAME, shown, complaints.join("; ")),
            }
        }
    }
}
