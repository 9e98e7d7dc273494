//! Servers that are there and not as they must be: what the start says, what `doctor` says, and how often they are asked.

use std::net::TcpListener;

use tbx_it::{OwnServer, Places, Server, Setup, eventually};
use tbx_services::{Keyspace, Relay, with_credentials};
use tokio::task::JoinSet;

use crate::support::{examined, refused};

/// What `doctor` says about one thing.
async fn told_of(setup: &Setup, name: &str) -> String {
    let (_, lines) = examined(setup, &[]).await;
    lines.get(name).unwrap_or_else(|| panic!("no word of {name}: {lines:#?}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_nothing_to_say_about_servers_that_are_as_they_should_be() {
    let places = Places::new().await;
    let setup = places.migrated().await;
    let (code, mut lines) = examined(&setup, &[]).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    // How many files may be open is up to the machine.
    lines.remove("open files");
    let expected = [
        ("api port", "a free port"),
        ("auth", "only this machine"),
        ("bus", "RabbitMQ "),
        ("cache", "Redis "),
        ("clock", "plausible"),
        ("configuration", "every setting can be used"),
        ("database", "schema up to date"),
        ("history", "kept over restarts, nothing evicted"),
        ("notifier port", "a free port"),
        ("worker port", "a free port"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (name, text) in expected {
        let line = &lines[name];
        assert!(line.starts_with("ok") && line.contains(text), "{text}: {line}");
        assert_eq!(line.matches('@').count(), line.matches(":***@").count(), "no password is shown: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_the_ports_of_running_hosts_to_be_theirs() {
    let places = Places::new().await;
    let mut setup = places.setup();
    let mut hosts = Vec::new();
    for service in ["api", "notifier", "worker"] {
        let host = setup.start_host(service).await;
        let variable = format!("TBX_{}_LISTEN", service.to_ascii_uppercase());
        setup = setup.with(&variable, &host.address(service).to_string());
        hosts.push(host);
    }
    let (code, lines) = examined(&setup, &[]).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    for port in ["api port", "notifier port", "worker port"] {
        assert!(lines[port].contains("in use by a running host"), "{}", lines[port]);
    }
    // Somebody else's, who does not even answer.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = setup.with("TBX_API_LISTEN", &other.local_addr().unwrap().to_string());
    let (code, lines) = examined(&setup, &[]).await;
    assert_eq!(code, Some(1), "{lines:#?}");
    assert!(lines["api port"].contains("set TBX_API_LISTEN"), "{}", lines["api port"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_what_is_wrong_with_a_database() {
    let places = Places::new().await;
    let setup = places.setup();
    let told = told_of(&setup, "database").await;
    assert!(told.starts_with("ok") && told.contains("the first start creates it"), "{told}");
    places.migrated().await;
    places.database.execute("DROP TABLE students; DROP TABLE tbx_students_migrations").await;
    let told = told_of(&setup, "database").await;
    assert!(told.starts_with("warn") && told.contains("run `tbx migrate`"), "{told}");
    let name = places.database.name();
    places.database.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let told = told_of(&setup, "database").await;
    assert!(told.starts_with("fail") && told.contains("synchronous_commit to on"), "{told}");
    let later = "INSERT INTO tbx_store_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', true, ''::bytea, 0)";
    places.database.execute(later).await;
    let told = told_of(&setup, "database").await;
    assert!(told.starts_with("fail") && told.contains("newer version"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_evicts_is_refused_as_the_history_and_good_enough_as_the_cache() {
    let (places, own) = (Places::new().await, OwnServer::start(Server::Redis));
    let redis = Keyspace::at(&own.url());
    redis.configure("maxmemory", "100mb");
    redis.configure("maxmemory-policy", "allkeys-lru");
    let as_history = places.setup().with("TBX_HISTORY_URL", &own.url());
    let (code, said) = refused(&as_history, "notifier").await;
    assert_eq!(code, Some(1), "{said}");
    for text in ["TBX_HISTORY_URL", "allkeys-lru", "maxmemory-policy noeviction"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let told = told_of(&as_history, "history").await;
    assert!(told.starts_with("fail") && told.contains("maxmemory-policy noeviction"), "{told}");

    // What is evicted from the cache is read from the database again.
    let as_cache = places.setup().with("TBX_CACHE_URL", &own.url());
    let told = told_of(&as_cache, "cache").await;
    assert!(told.starts_with("ok"), "{told}");
    as_cache.start_host("api").await;

    // Mended while nobody looks, it is taken.
    redis.configure("maxmemory-policy", "noeviction");
    as_history.start_host("notifier").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgets_over_a_restart_is_used_and_doctor_says_what_that_costs() {
    let (places, own) = (Places::new().await, OwnServer::start(Server::Redis));
    let redis = Keyspace::at(&own.url());
    let setup = places.setup().with("TBX_HISTORY_URL", &own.url());
    for (setting, value, remedy) in
        [("appendfsync", "everysec", "set appendfsync always"), ("appendonly", "no", "set appendonly yes")]
    {
        redis.configure(setting, value);
        let told = told_of(&setup, "history").await;
        assert!(told.starts_with("warn") && told.contains(remedy), "{told}");
    }
    let notifier = setup.start_host("notifier").await;
    assert!(notifier.log().contains("appendonly yes"), "the start says it too:\n{}", notifier.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_behind_is_refused_to_a_role_that_may_not_change_it() {
    let places = Places::new().await;
    places.migrated().await;
    let role = format!("r{}", places.database.name());
    // As after an update of the program: a step is missing, and this role may use the tables and not change them.
    places
        .database
        .execute(&format!(
            "DROP TABLE students; DROP TABLE tbx_students_migrations; CREATE ROLE {role} LOGIN PASSWORD 'tbx'; \
             REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
    let url = with_credentials(&places.database.url(), Some(&role), "tbx");
    let setup = places.setup().with("TBX_DATABASE_URL", &url);
    for host in ["api", "worker"] {
        let (code, said) = refused(&setup, host).await;
        assert_eq!(code, Some(1), "{said}");
        for text in ["TBX_DATABASE_URL", "migrations are missing", "`tbx migrate`"] {
            assert!(said.contains(text), "{text}: {said}");
        }
    }
    let told = told_of(&setup, "database").await;
    assert!(told.starts_with("warn") && told.contains("tbx migrate"), "{told}");

    // The owner of the tables migrates, and the role may work.
    places.migrated().await;
    places.database.execute(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")).await;
    setup.start_host("api").await;
    places.database.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_an_unknown_authority_ends_the_start_with_the_remedy_and_without_a_storm() {
    let places = Places::new().await;
    let (redis, postgres) =
        (OwnServer::start_encrypted(Server::Redis), OwnServer::start_encrypted(Server::Postgres));
    let (cache, database) = (Keyspace::at(&redis.url()), tbx_services::Database::absent_at(&postgres.url()));
    let mut starts = JoinSet::new();
    for (host, variable, remedy) in [
        ("notifier", "TBX_HISTORY_URL", "cacertfile"),
        ("worker", "TBX_BUS_URL", "cacertfile"),
        ("api", "TBX_DATABASE_URL", "sslrootcert"),
    ] {
        let relay = match variable {
            "TBX_DATABASE_URL" => Relay::start(database.address()).await,
            // For the broker too: it comes to no more than a handshake.
            _ => Relay::start(cache.address()).await,
        };
        let url = match variable {
            "TBX_DATABASE_URL" => format!("{}?sslmode=verify-full", database.url_through(&relay)),
            "TBX_BUS_URL" => format!("amqps://tbx:tbx@{}/tbx", relay.address()),
            _ => cache.url_through(&relay).replacen("redis://", "rediss://", 1),
        };
        let setup = places.setup().with(variable, &url);
        starts.spawn(async move {
            let (code, said) = refused(&setup, host).await;
            (variable, remedy, code, said, relay.accepted())
        });
    }
    for (variable, remedy, code, said, tries) in starts.join_all().await {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(variable) && said.contains(remedy), "{remedy}: {said}");
        assert!((1..=3).contains(&tries), "{variable}: {tries} tries");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_authority_is_given_is_used_over_tls() {
    let (places, postgres) = (Places::new().await, OwnServer::start_encrypted(Server::Postgres));
    let database = tbx_services::Database::absent_at(&postgres.url());
    let url = |host: &str| {
        let url = database.url().replacen("127.0.0.1", host, 1);
        format!("{url}?sslmode=verify-full&sslrootcert={}", postgres.authority().display())
    };
    let setup = places.setup().with("TBX_DATABASE_URL", &url("localhost"));
    let api = setup.start_host("api").await;
    eventually("the connections are encrypted", || async {
        let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'tbx-api'";
        match database.count(sql).await {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    drop(api);
    // A name that the certificate does not have.
    let (code, said) = refused(&places.setup().with("TBX_DATABASE_URL", &url("127.0.0.1")), "api").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("TBX_DATABASE_URL"), "{said}");
}
