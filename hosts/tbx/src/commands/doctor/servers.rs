//! The servers: does each answer, and is it set up right?

use tbx_backends::{BusFacts, DatabaseFacts, RedisFacts, Schema};
use tbx_service::config::{BusUrl, CacheUrl, DatabaseUrl, SecretUrl};
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
    Some(match tbx_backends::broker(config, url).await {
        Err(error) => Finding::fail(NAME, chain(&error), ""),
        Ok(facts) => of_broker(&facts, url),
    })
}

fn of_broker(facts: &BusFacts, url: &SecretUrl) -> Finding {
    const NAME: &str = "bus";
    let BusFacts { broker, drifted, missing } = facts;
    let product = broker.product.as_deref().unwrap_or("a broker");
    let version = broker.version.as_deref().unwrap_or("of unknown version");
    let shown = format!("{product} {version} at {url}");
    if broker.is_too_old() {
        Finding::fail(NAME, shown, "install RabbitMQ 3.10 or later")
    } else if !drifted.is_empty() {
        Finding::fail(NAME, format!("{shown}, no host starts on what is declared there"), drifted.join("; "))
    } else {
        let declared = match missing.is_empty() {
            true => "queues as the hosts declare them",
            false => "the first start declares the queues that are missing",
        };
        Finding::ok(NAME, format!("{shown}, no plugin is needed, {declared}"))
    }
}

/// The cache, where there is something to say about it.
pub(super) async fn cache(config: &Config) -> Option<Finding> {
    let CacheUrl::Redis(url) = &config.cache_url else { return in_memory(config) };
    Some(match tbx_backends::redis("TBX_CACHE_URL", url).await {
        Err(error) => Finding::fail(CACHE, chain(&error), ""),
        Ok(facts) => of_cache(facts, url),
    })
}

const CACHE: &str = "cache";

/// Where database and bus are servers, hosts are likely to run as processes of their own, which share a cache too.
fn in_memory(config: &Config) -> Option<Finding> {
    let (DatabaseUrl::Postgres(_), BusUrl::Amqp(_)) = (&config.database_url, &config.bus_url) else {
        return None;
    };
    let refusal = config.check_separate("api").err()?;
    Some(Finding::warn(CACHE, refusal.to_string(), ""))
}

fn of_cache(mut facts: RedisFacts, url: &SecretUrl) -> Finding {
    let shown = format!("Redis {} at {url}", facts.version.as_deref().unwrap_or_default());
    // What is evicted from a cache is read from the database again, and any version will do.
    (facts.eviction, facts.version) = (None, None);
    match facts.refusal() {
        Some(remedy) => Finding::fail(CACHE, shown, remedy),
        None => Finding::ok(CACHE, shown),
    }
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
    use tbx_backends::BrokerFacts;

    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        let set = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(&[], set, "/nonexistent".as_ref()).unwrap().config
    }

    fn url() -> SecretUrl {
        match config(&[("TBX_DATABASE_URL", "postgres://tbx:s3cret@db/tbx")]).database_url {
            DatabaseUrl::Postgres(url) => url,
            other => panic!("{other:?}"),
        }
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

    #[test]
    fn a_broker_that_no_host_starts_on_fails_and_a_fresh_one_is_fine() {
        let of = |version: &str, drifted: &[&str], missing: &[&str]| {
            let mut broker = BrokerFacts::default();
            broker.version = Some(version.to_owned());
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let facts = BusFacts { broker, drifted: owned(drifted), missing: owned(missing) };
            of_broker(&facts, &url()).to_string()
        };
        for (told, level, text) in [
            (of("3.9.29", &[], &[]), "fail", "install RabbitMQ 3.10"),
            (of("3.10.0", &["delete it and declare it anew"], &["queue"]), "fail", "declare it anew"),
            (of("3.10.0", &[], &["queue"]), "ok", "no plugin is needed, the first start declares"),
            (of("3.10.0", &[], &[]), "ok", "no plugin is needed, queues as the hosts declare them"),
        ] {
            assert!(told.starts_with(level) && told.contains(text), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn a_redis_that_takes_no_writes_is_no_cache_and_one_that_evicts_is() {
        let of = |change: fn(&mut RedisFacts)| {
            let mut facts = RedisFacts::default();
            facts.version = Some("7.0.15".to_owned());
            (facts.eviction, facts.max_memory) = (Some("allkeys-lru".to_owned()), Some(1));
            change(&mut facts);
            of_cache(facts, &url()).to_string()
        };
        assert!(of(|_| ()).starts_with("ok"), "{}", of(|_| ()));
        assert!(of(|facts| facts.version = Some("6.0.16".to_owned())).starts_with("ok"));
        let replica = of(|facts| facts.is_replica = Some(true));
        assert!(replica.starts_with("fail") && replica.contains("name the primary"), "{replica}");
    }

    #[test]
    fn a_cache_in_memory_is_worth_a_word_where_the_rest_is_on_servers() {
        let postgres = ("TBX_DATABASE_URL", "postgres://tbx@db/tbx");
        let rabbit = ("TBX_BUS_URL", "amqp://rabbit");
        let told = in_memory(&config(&[postgres, rabbit])).unwrap().to_string();
        assert!(told.starts_with("warn") && told.contains("TBX_CACHE_URL=memory:"), "{told}");
        for fine in [&[][..], &[postgres], &[rabbit]] {
            assert_eq!(in_memory(&config(fine)), None, "{fine:?}");
        }
    }
}
