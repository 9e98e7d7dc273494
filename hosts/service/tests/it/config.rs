//! Sources, precedence, and what the user is told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tbx_service::config::{Auth, BusUrl, HistoryUrl, KEYS, parse_flags, split_flags};
use tbx_service::{Config, ConfigError, Loaded};
use tempfile::TempDir;

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(dir: &Path, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    Config::load(&pairs(flags), pairs(env).into_iter(), dir)
}

fn args(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let dir = TempDir::new().unwrap();
    let loaded =
        load(dir.path(), &[("HOME", "/root"), ("TBX_TEST_AMQP_URL", "x"), ("OTEL_X", "y")], &[]).unwrap();
    assert_eq!(
        loaded.render(),
        "database_url = sqlite:data/tbx.db  (default)\n\
         bus_url = memory:  (default)\n\
         cache_url = memory:  (default)\n\
         history_url = sqlite:data/tbx-history.db  (default)\n\
         history_max_count = 100000  (default)\n\
         history_max_age = 24h  (default)\n\
         api_listen = 127.0.0.1:5000  (default)\n\
         notifier_listen = 127.0.0.1:5001  (default)\n\
         worker_listen = 127.0.0.1:5002  (default)\n\
         allowed_origins = -  (default)\n\
         allowed_hosts = -  (default)\n\
         max_connections = 15000  (default)\n\
         header_timeout = 10s  (default)\n\
         body_limit = 256KiB  (default)\n\
         drain_timeout = 20s  (default)\n\
         keep_alive = 15s  (default)\n\
         auth = off  (default)\n\
         log = info  (default)\n\
         log_format = auto  (default)\n"
    );
    assert_eq!(loaded.config.body_limit, 256 * 1024);
    assert_eq!(loaded.origins.len(), KEYS.len());
}

#[test]
fn each_source_overrides_the_one_before() {
    let dir = TempDir::new().unwrap();
    let file = "log = \"warn\"\nkeep_alive = \"1s\"\nmax_connections = 7\n";
    fs::write(dir.path().join("tbx.toml"), file).unwrap();
    fs::write(dir.path().join("secret"), "none:\r\n").unwrap();
    let env = [("TBX_KEEP_ALIVE", "2s"), ("TBX_DRAIN_TIMEOUT", "0s"), ("TBX_BUS_URL_FILE", "secret")];
    let Loaded { config, origins } =
        load(dir.path(), &env, &[("drain-timeout", "3s"), ("drain-timeout", "4s")]).unwrap();
    assert_eq!((config.log.as_str(), config.max_connections), ("warn", 7));
    assert_eq!(config.keep_alive, Duration::from_secs(2));
    assert_eq!(config.drain_timeout, Duration::from_secs(4), "of two flags the last");
    assert_eq!(config.bus_url, BusUrl::None);
    let shown: Vec<String> = origins.iter().map(ToString::to_string).collect();
    for line in [
        "log = warn  (tbx.toml)",
        "keep_alive = 2s  (TBX_KEEP_ALIVE)",
        "bus_url = none:  (TBX_BUS_URL_FILE (secret))",
        "drain_timeout = 4s  (--drain-timeout)",
    ] {
        assert!(shown.iter().any(|shown| shown == line), "{line} in {shown:?}");
    }
}

#[test]
fn a_named_file_replaces_the_usual_one() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("tbx.toml"), "nonsense").unwrap();
    fs::write(dir.path().join("other.toml"), "history_url = \"memory:\"").unwrap();
    let loaded = load(dir.path(), &[], &[("config", "other.toml")]).unwrap();
    assert_eq!(loaded.config.history_url, HistoryUrl::Memory);
}

#[test]
fn bad_variables_are_named_with_a_remedy() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("secret"), "x").unwrap();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("TBX_API_LISTN", "x")], "TBX_API_LISTN: unknown variable; did you mean TBX_API_LISTEN?"),
        (&[("tbx_log", "x"), ("TBX_Log", "x")], "TBX_Log: unknown variable; did you mean TBX_LOG?"),
        (
            &[("TBX_CONFIG", "x")],
            "TBX_CONFIG: unknown variable; remove it, or see the effective settings for the names there are",
        ),
        (&[("TBX_LOG", "")], "TBX_LOG: \"\" is no value; give one or remove it"),
        (
            &[("TBX_API_LISTEN", "localhost:5000")],
            "TBX_API_LISTEN: \"localhost:5000\" is no address with a port; use ADDRESS:PORT, such as 127.0.0.1:5000",
        ),
        (
            &[("TBX_HEADER_TIMEOUT", "0s")],
            "TBX_HEADER_TIMEOUT: \"0s\" is no time at all; use a duration above zero, such as 10s",
        ),
        (
            &[("TBX_KEEP_ALIVE", "15")],
            "TBX_KEEP_ALIVE: \"15\" is no duration; use a number with ms, s, m, h or d, such as 10s",
        ),
        (
            &[("TBX_BODY_LIMIT", "1MB")],
            "TBX_BODY_LIMIT: \"1MB\" is no size; use bytes, or a number with KiB, MiB or GiB, such as 256KiB",
        ),
        (
            &[("TBX_MAX_CONNECTIONS", "0")],
            "TBX_MAX_CONNECTIONS: \"0\" is no number of connections; use one from 1 to 1000000",
        ),
        (
            &[("TBX_DATABASE_URL", "postgres://")],
            "TBX_DATABASE_URL: \"postgres://\" names no server; write it as \
             postgres://user:password@host:5432/tbx",
        ),
        (
            &[("TBX_DATABASE_URL", "sqlserver://sa:hunter2@db")],
            "TBX_DATABASE_URL: \"sqlserver://sa:***@db\" cannot be used: there is no SQL Server driver; use \
             postgres:// or sqlite:PATH",
        ),
        (
            &[("TBX_DATABASE_URL", "data/tbx.db")],
            "TBX_DATABASE_URL: \"data/tbx.db\" names no database this program knows; use sqlite:PATH, such as \
             sqlite:data/tbx.db, or postgres://",
        ),
        (
            &[("TBX_DATABASE_URL", "sqlite::memory:")],
            "TBX_DATABASE_URL: \"sqlite::memory:\" names no file; use sqlite:PATH, such as sqlite:data/tbx.db",
        ),
        (
            &[("TBX_BUS_URL", "rabbit:5672")],
            "TBX_BUS_URL: \"rabbit:5672\" names no bus this program knows; use memory:, amqp:// or amqps://, or none:",
        ),
        (
            &[("TBX_CACHE_URL", "redis:cache")],
            "TBX_CACHE_URL: \"redis:cache\" names no server; write it as redis://:password@host:6379",
        ),
        (
            &[("TBX_HISTORY_URL", "rediss://a b")],
            "TBX_HISTORY_URL: \"rediss://a b\" names no server; write it as redis://:password@host:6379",
        ),
        (
            &[("TBX_HISTORY_URL", "sqlite:data/tbx.db")],
            "TBX_HISTORY_URL: \"sqlite:data/tbx.db\" is the database's file too; give the history a file of its own",
        ),
        (
            &[("TBX_ALLOWED_HOSTS", "http://tbx.example.org")],
            "TBX_ALLOWED_HOSTS: \"http://tbx.example.org\" is no list of hosts; use names such as tbx.example.org, \
             with commas between them, *.example.org for all below a name, or * for any",
        ),
        (
            &[("TBX_ALLOWED_ORIGINS", "https://app.example.org,app.example.org")],
            "TBX_ALLOWED_ORIGINS: \"https://app.example.org,app.example.org\" is no list of origins; use \
             SCHEME://HOST or SCHEME://HOST:PORT without a path, such as https://tbx.example.org, with commas \
             between them, or * for any",
        ),
        (
            &[("TBX_AUTH", "jwt")],
            "TBX_AUTH: \"jwt\" needs token authentication, which this version does not have yet; use off, or \
             insecure for an address that is not loopback",
        ),
        (
            &[("TBX_JWT_SECRET", "hunter2")],
            "TBX_JWT_SECRET: this version does not have token authentication yet; remove it and use auth off or \
             insecure",
        ),
        (
            &[("TBX_JWT_SECRET_FILE", "secret")],
            "TBX_JWT_SECRET_FILE: this version does not have token authentication yet; remove it and use auth \
             off or insecure",
        ),
        (
            &[("TBX_LOG", "info,tbx=loud")],
            "TBX_LOG: \"info,tbx=loud\" is no log filter; use a level such as info, or a list such as \
             info,tbx_bus=debug",
        ),
        (
            &[("TBX_WORKER_LISTEN", "0.0.0.0:5002")],
            "TBX_WORKER_LISTEN: \"0.0.0.0:5002\" is not a loopback address and auth is off, so anyone could come \
             in; use 127.0.0.1, or set auth to insecure if that is meant",
        ),
        (
            &[("TBX_LOG", "info"), ("TBX_LOG_FILE", "secret")],
            "TBX_LOG and TBX_LOG_FILE: both are given; remove one of them",
        ),
        (
            &[("TBX_LOG_FILE", "nowhere")],
            "TBX_LOG_FILE: \"nowhere\" cannot be read (No such file or directory (os error 2)); name a readable \
             file",
        ),
        (&[("TBX_AUTH_FILE", "secret")], "TBX_AUTH_FILE (secret): \"x\" is not known; use off or insecure"),
    ];
    for (env, message) in cases {
        assert_eq!(load(dir.path(), env, &[]).unwrap_err().to_string(), *message);
    }
}

#[test]
fn bad_files_are_named_with_a_remedy() {
    let cases = [
        ("api_listn = \"x\"", "api_listn in tbx.toml: unknown key; did you mean api_listen?"),
        ("[database]\nurl = \"x\"", "database in tbx.toml: unknown key; did you mean database_url?"),
        ("log = true", "log in tbx.toml: true (boolean) cannot be used; write text in quotes"),
        ("auth = \"on\"", "auth in tbx.toml: \"on\" is not known; use off or insecure"),
        (
            "jwks_url = \"https://id\"",
            "jwks_url in tbx.toml: this version does not have token authentication yet; remove it and use auth off \
             or insecure",
        ),
    ];
    let dir = TempDir::new().unwrap();
    for (file, message) in cases {
        fs::write(dir.path().join("tbx.toml"), file).unwrap();
        assert_eq!(load(dir.path(), &[], &[]).unwrap_err().to_string(), message);
    }
    // The line itself is not shown: it may hold a password.
    fs::write(dir.path().join("tbx.toml"), "log = \"info\"\nbus_url = amqp://u:hunter2@h").unwrap();
    let message = load(dir.path(), &[], &[]).unwrap_err().to_string();
    assert!(message.starts_with("tbx.toml: line 2 is no TOML; correct it ("), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    assert_eq!(
        load(dir.path(), &[], &[("config", "none.toml")]).unwrap_err().to_string(),
        "none.toml: cannot be read (No such file or directory (os error 2)); make sure that --config names a \
         readable file"
    );
}

#[test]
fn without_authentication_other_machines_need_a_word() {
    let dir = TempDir::new().unwrap();
    for inside in ["127.0.0.1:0", "127.8.0.1:1", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        assert!(load(dir.path(), &[("TBX_API_LISTEN", inside)], &[]).is_ok(), "{inside}");
    }
    for outside in ["0.0.0.0:0", "10.0.0.1:1", "[::]:0", "[::ffff:10.0.0.1]:0"] {
        assert!(load(dir.path(), &[("TBX_API_LISTEN", outside)], &[]).is_err(), "{outside}");
        let insecure = load(dir.path(), &[("TBX_API_LISTEN", outside)], &[("auth", "insecure")]).unwrap();
        assert_eq!(insecure.config.auth, Auth::Insecure);
    }
}

#[test]
fn flags_are_read_in_both_forms_and_the_rest_is_left() {
    let flags = split_flags(args(
        "seed --api-listen 127.0.0.1:0 --count 5 --log=debug,a=b --config x.toml -- --log y",
    ))
    .unwrap();
    assert_eq!(
        flags.settings,
        pairs(&[("api-listen", "127.0.0.1:0"), ("log", "debug,a=b"), ("config", "x.toml")])
    );
    assert_eq!(flags.rest, ["seed", "--count", "5", "--", "--log", "y"]);
    assert_eq!(parse_flags(args("--log=a")).unwrap(), pairs(&[("log", "a")]));
    for (line, message) in [
        ("--log", "--log: no value; write --log=VALUE"),
        ("--log --auth off", "--log: no value; write --log=VALUE"),
        ("--lob=a", "--lob: unknown flag; did you mean --log?"),
        ("--api_listen=a", "--api_listen: unknown flag; did you mean --api-listen?"),
        ("api", "api: unexpected argument; settings are written --name=VALUE"),
    ] {
        assert_eq!(parse_flags(args(line)).unwrap_err().to_string(), message);
    }
    let dir = TempDir::new().unwrap();
    for (name, value, message) in [
        ("lob", "a", "--lob: unknown flag; did you mean --log?"),
        ("auth", "on", "--auth: \"on\" is not known; use off or insecure"),
        (
            "jwt-secret",
            "hunter2",
            "--jwt-secret: this version does not have token authentication yet; remove it and use auth off or \
             insecure",
        ),
    ] {
        assert_eq!(load(dir.path(), &[], &[(name, value)]).unwrap_err().to_string(), message);
    }
}
