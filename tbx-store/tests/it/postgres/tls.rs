//! Connections by TLS: who is believed, and what is said when somebody is not.

use tbx_services::{Authority, TlsRelay};
use tbx_store::postgres::{Database, DatabaseOptions, ping};
use tbx_store::{StoreError, StoreErrorKind};
use tempfile::TempDir;

/// A database behind TLS.
struct Encrypted {
    place: tbx_services::Database,
    relay: TlsRelay,
    folder: TempDir,
}

impl Encrypted {
    /// One that shows a certificate for `name`.
    async fn named(name: &str) -> Self {
        let (place, authority) = (tbx_services::Database::create().await, Authority::new());
        let relay = TlsRelay::start(place.address(), &authority, name).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("authority.pem"), authority.pem()).unwrap();
        Self { place, relay, folder }
    }

    /// Opens it with these parameters; `FOLDER` stands for the folder with `authority.pem`.
    async fn open(&self, parameters: &str) -> Result<Database, StoreError> {
        let parameters = parameters.replace("FOLDER", self.folder.path().to_str().unwrap());
        let there = self.place.url().replacen(
            &self.place.address().to_string(),
            &self.relay.address().to_string(),
            1,
        );
        Database::open(&DatabaseOptions::new(&format!("{there}?{parameters}")).unwrap(), &[]).await
    }

    async fn refused(&self, parameters: &str) -> String {
        let error = self.open(parameters).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(!error.is_retryable() && !error.to_string().contains("tbx:tbx"), "{error}");
        error.to_string()
    }

    async fn accepted(&self, parameters: &str) {
        let database = self.open(parameters).await.unwrap();
        ping(database.pool()).await.unwrap();
        database.close().await;
    }
}

#[tokio::test]
async fn a_server_whose_authority_is_trusted_is_believed() {
    let server = Encrypted::named("127.0.0.1").await;
    server.accepted("sslmode=verify-full&sslrootcert=FOLDER/authority.pem").await;
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused_with_a_remedy() {
    let server = Encrypted::named("127.0.0.1").await;
    for mode in ["verify-full", "verify-ca"] {
        let said = server.refused(&format!("sslmode={mode}")).await;
        assert!(said.contains("sslrootcert=FILE"), "{said}");
    }
    // Encrypted, and nothing more was asked for.
    server.accepted("sslmode=require").await;
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_with_a_remedy_unless_no_name_is_asked_for() {
    let server = Encrypted::named("elsewhere.example").await;
    let said = server.refused("sslmode=verify-full&sslrootcert=FOLDER/authority.pem").await;
    assert!(said.contains("for another name") && said.contains("verify-ca"), "{said}");
    server.accepted("sslmode=verify-ca&sslrootcert=FOLDER/authority.pem").await;
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_told_with_a_remedy() {
    let server = Encrypted::named("127.0.0.1").await;
    let said = server.refused("sslmode=verify-full&sslrootcert=FOLDER/absent.pem").await;
    assert!(said.contains("sslrootcert"), "{said}");
}
