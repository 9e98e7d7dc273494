//! Opening a database, and what is said when that fails.

use std::time::{Duration, Instant};

use tbx_services::Relay;
use tbx_store::postgres::{Database, DatabaseOptions, MESSAGING, MigrationSet, ping};
use tbx_store::{StoreError, StoreErrorKind};

use super::support::fixture;

fn options(url: &str) -> DatabaseOptions {
    DatabaseOptions::new(url).unwrap()
}

/// The error of opening; fails when it shows the password of the URL.
async fn refused(url: &str) -> StoreError {
    let error = Database::open(&options(url), &[]).await.unwrap_err();
    let told = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(!told.contains("s3cret"), "{told}");
    error
}

/// The URL with another role in it.
fn as_role(url: &str, role: &str, password: &str) -> String {
    let (_, place) = url.split_once('@').unwrap();
    format!("postgres://{role}:{password}@{place}")
}

#[tokio::test]
async fn a_missing_database_is_created_by_whoever_comes_first() {
    let place = tbx_services::Database::absent();
    let options = options(&place.url());
    let (one, other) = tokio::join!(Database::open(&options, &[]), Database::open(&options, &[]));
    for database in [one.unwrap(), other.unwrap()] {
        ping(database.pool()).await.unwrap();
        MESSAGING.check(database.pool()).await.unwrap();
        database.close().await;
    }
}

#[tokio::test]
async fn a_database_that_may_not_be_created_is_missing_with_a_remedy() {
    let place = tbx_services::Database::create().await;
    let role = format!("role_{}", place.name());
    place.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 's3cret'")).await;
    let there = format!("/{}", place.name());
    let absent = as_role(&place.url(), &role, "s3cret").replace(&there, "/tbx_absent_database");
    let error = refused(&absent).await;
    assert_eq!(error.kind(), StoreErrorKind::Missing, "{error}");
    assert!(error.to_string().contains("createdb"), "{error}");
    assert!(!Database::may_create(&options(&absent)).await.unwrap());
    place.execute(&format!("ALTER ROLE {role} CREATEDB")).await;
    assert!(Database::may_create(&options(&absent)).await.unwrap());
    place.execute(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_role_are_told_with_a_remedy() {
    let place = tbx_services::Database::create().await;
    let role = format!("role_{}", place.name());
    place.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'other'")).await;
    for role in [role.as_str(), "tbx_absent_role"] {
        let error = refused(&as_role(&place.url(), role, "s3cret")).await;
        assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("check the role"), "{error}");
        assert!(!error.is_retryable());
    }
    place.execute(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_a_remedy() {
    let error = refused("postgres://role:s3cret@127.0.0.1:1/name").await;
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable() && error.to_string().contains("check that the server runs"), "{error}");
}

#[tokio::test]
async fn tls_that_the_server_does_not_speak_is_told_with_a_remedy() {
    let place = tbx_services::Database::create().await;
    let error = refused(&format!("{}?sslmode=require", place.url())).await;
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("sslmode"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for (url, remedy) in [("mysql://h/n", "postgres://"), ("postgres://role@host", "names no database")] {
        let error = DatabaseOptions::new(url).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

const NEWER: MigrationSet = MigrationSet {
    table: "own_migrations",
    steps: &[("a", "CREATE TABLE a (x int)"), ("b", "CREATE TABLE b (x int)")],
};
const OLDER: MigrationSet =
    MigrationSet { table: "own_migrations", steps: &[("a", "CREATE TABLE a (x int)")] };

#[tokio::test]
async fn a_database_of_another_version_is_refused_with_a_remedy() {
    let fixture = fixture().await;
    let options = options(&fixture.place.url());
    Database::open(&options, &[OLDER]).await.unwrap();
    let pool = fixture.database.pool();
    assert_eq!(NEWER.status(pool).await.unwrap(), [("a", true), ("b", false)]);
    let error = NEWER.check(pool).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("run `tbx migrate`"), "{error}");

    Database::open(&options, &[NEWER]).await.unwrap();
    NEWER.check(pool).await.unwrap();
    let error = Database::open(&options, &[OLDER]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("newer version"), "{error}");

    const CHANGED: MigrationSet = MigrationSet {
        table: "own_migrations",
        steps: &[("a", "CREATE TABLE a (y int)"), ("b", "CREATE TABLE b (x int)")],
    };
    assert_eq!(Database::open(&options, &[CHANGED]).await.unwrap_err().kind(), StoreErrorKind::Schema);
}

#[tokio::test]
async fn a_role_that_may_not_migrate_may_use_what_is_migrated() {
    let fixture = fixture().await;
    let (name, role) = (fixture.place.name(), format!("role_{}", fixture.place.name()));
    fixture.place.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 's3cret'")).await;
    fixture
        .place
        .execute(&format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ))
        .await;
    let limited = options(&as_role(&fixture.place.url(), &role, "s3cret"));
    Database::open(&limited, &[]).await.unwrap();
    let error = Database::open(&limited, &[OLDER]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{name}: {error}");
    assert!(error.to_string().contains("run `tbx migrate`"), "{error}");
    fixture.place.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// What a version before the idempotency keys left.
async fn make_older(fixture: &super::support::Fixture) {
    fixture
        .place
        .execute("DROP TABLE tbx_idempotency; DELETE FROM tbx_store_migrations WHERE version = 2")
        .await;
}

#[tokio::test]
async fn a_database_of_an_older_version_waits_for_a_role_that_may_migrate_it() {
    let fixture = fixture().await;
    let role = format!("role_{}", fixture.place.name());
    make_older(&fixture).await;
    fixture
        .place
        .execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 's3cret'; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
    let limited = as_role(&fixture.place.url(), &role, "s3cret");
    let error = refused(&limited).await;
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("run `tbx migrate`") && !error.is_retryable(), "{error}");
    let status = MESSAGING.status(fixture.database.pool()).await.unwrap();
    assert_eq!(status, [("messaging", true), ("idempotency", false)], "nothing was half done");

    Database::open(&options(&fixture.place.url()), &[]).await.unwrap();
    MESSAGING.check(fixture.database.pool()).await.unwrap();
    Database::open(&options(&limited), &[]).await.unwrap();
    fixture.place.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_database_with_tables_of_somebody_else_is_refused_with_a_remedy() {
    let place = tbx_services::Database::create().await;
    place.execute("CREATE TABLE tbx_outbox (theirs int)").await;
    let error = refused(&place.url()).await;
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
    assert!(error.to_string().contains("a database of its own") && !error.is_retryable(), "{error}");
    assert_eq!(place.count("SELECT count(*) FROM tbx_outbox").await, 0, "theirs is as it was");
}

#[tokio::test]
async fn a_connection_that_is_lost_is_replaced() {
    let place = tbx_services::Database::create().await;
    let relay = Relay::start(place.address()).await;
    let database = Database::open(&options(&place.url_through(&relay)), &[]).await.unwrap();
    ping(database.pool()).await.unwrap();
    relay.cut().await;
    // The one that was cut may be noticed by its next user.
    let answers = async { while ping(database.pool()).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), answers).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_ends_a_wait_in_time() {
    let fixture = fixture().await;
    fixture.place.execute("CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await;
    let mut holder = fixture.database.begin().await.unwrap();
    sqlx::query("UPDATE t SET x = 2").execute(&mut *holder).await.unwrap();
    let mut waiter = fixture.database.begin().await.unwrap();
    let began = Instant::now();
    let error = sqlx::query("UPDATE t SET x = 3").execute(&mut *waiter).await.unwrap_err();
    let error = tbx_store::postgres::store_error("updating", error);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}
