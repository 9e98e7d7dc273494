//! The servers: does each answer, and is it set up right?

use tbx_backends::{BrokerFacts, DatabaseFacts, Schema};
use tbx_service::config::{BusUrl, CacheUrl, SecretUrl};
use tbx_service::{Config, chain};

use super::Finding;

/// By how many seconds clocks may differ before it is worth a word.
const MAX_SKEW: u64 = 5;

/// PostgreSQL.
pub(super) async fn database(url: &SecretUrl) -> Finding {
    match tbx_backends::database(url).await {
        Err(error) => Finding::fail("database", chain(&error), ""),
        Ok(None) => {
            Finding::ok("database", format!("there is no database at {url} yet; the first start creates it"))
        }
        Ok(Some(facts)) => of_database(&facts, url),
    }
}

/// The worst of what there is to say.
fn of_database(facts: &DatabaseFacts, url: &SecretUrl) -> Finding {
    const NAME: &str = "database";
    let shown = format!("PostgreSQL {} at {url}", facts.version);
    if let Schema::Foreign(why) = &facts.schema {
        Finding::fail(NAME, format!("{shown}, {why}"), "")
    } else if !facts.is_durable {
        Finding::fail(
            NAME,
            format!("{shown}, an answered write may be lost in a crash"),
            "set fsync and synchronous_commit to on",
        )
    } else if let Schema::Behind(missing) = facts.schema {
        let detail = format!("{shown}, {missing} steps of its schema are missing");
        Finding::warn(NAME, detail, "run `tbx migrate`; a start does it too, when its role may")
    } else if facts.ahead.unsigned_abs() > MAX_SKEW {
        let skew = format!("{shown}, its clock differs by {} s", facts.ahead);
        Finding::warn(NAME, skew, "synchronize the clocks of both machines")
    } else {
        Finding::ok(NAME, format!("{shown}, schema up to date"))
    }
}

/// RabbitMQ, where it is used.
pub(super) async fn bus(config: &Config) -> Option<Finding> {
    const NAME: &str = "bus";
    let BusUrl::Amqp(url) = &config.bus_url else { return None };
    Some(match tbx_backends::broker(url).await {
        Err(error) => Finding::fail(NAME, chain(&error), ""),
        Ok(facts) => of_broker(&facts, url),
    })
}

fn of_broker(facts: &BrokerFacts, url: &SecretUrl) -> Finding {
    const NAME: &str = "bus";
    let product = facts.product.as_deref().unwrap_or("a broker");
    let version = facts.version.as_deref().unwrap_or("of unknown version");
    let shown = format!("{product} {version} at {url}");
    match facts.is_too_old() {
        true => Finding::fail(NAME, shown, "install RabbitMQ 3.10 or later"),
        false => Finding::ok(NAME, shown),
    }
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
            match (facts.refusal(), facts.complaints().as_slice()) {
                (Some(_), complaints) => Finding::fail(NAME, shown, complaints.join("; ")),
                (None, []) => Finding::ok(NAME, format!("{shown}, kept over restarts, nothing evicted")),
                (None, complaints) => Finding::warn(NAME, shown, complaints.join("; ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tbx_service::config::DatabaseUrl;

    use super::*;

    fn url() -> SecretUrl {
        let set = ("TBX_DATABASE_URL".to_owned(), "postgres://tbx:s3cret@db/tbx".to_owned());
        let loaded = Config::load(&[], [set].into_iter(), "/nonexistent".as_ref()).unwrap();
        let DatabaseUrl::Postgres(url) = loaded.config.database_url else { panic!("{loaded:?}") };
        url
    }

    #[test]
    fn the_worst_of_a_database_is_told_with_its_remedy() {
        let well = || DatabaseFacts {
            version: "15.8".to_owned(),
            is_durable: true,
            schema: Schema::Current,
            ahead: -5,
        };
        assert!(of_database(&well(), &url()).to_string().starts_with("ok"));
        let foreign = Schema::Foreign("use that version".to_owned());
        for (facts, level, remedy) in [
            (DatabaseFacts { ahead: -6, ..well() }, "warn", "differs by -6 s  synchronize the clocks"),
            (
                DatabaseFacts { schema: Schema::Behind(2), ahead: 9, ..well() },
                "warn",
                "2 steps of its schema",
            ),
            (DatabaseFacts { is_durable: false, schema: Schema::Behind(2), ..well() }, "fail", "set fsync"),
            (DatabaseFacts { schema: foreign, is_durable: false, ..well() }, "fail", "use that version"),
        ] {
            let told = of_database(&facts, &url()).to_string();
            assert!(told.starts_with(level) && told.contains(remedy), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
    }
}
