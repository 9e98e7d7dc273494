//! A server that is one test's alone, for what it must not do to those of others.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Server;

/// A server of this test alone. Dropped, it is ended.
#[derive(Debug)]
pub struct OwnServer {
    server: Server,
    folder: TempDir,
}

impl OwnServer {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(server: Server) -> Self {
        Self::started(server, "start")
    }

    /// Starts one that speaks nothing but TLS, with a certificate for `localhost` whose authority nobody knows.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start_encrypted(server: Server) -> Self {
        Self::started(server, "start-tls")
    }

    fn started(server: Server, action: &str) -> Self {
        let own = Self { server, folder: tempfile::tempdir().unwrap() };
        // The user that PostgreSQL runs as must come through to its own folder.
        let passable = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o711);
        std::fs::set_permissions(own.folder.path(), passable).unwrap();
        // The server keeps what it inherits, so the end of a pipe cannot be waited for.
        let said = own.folder.path().join("said");
        let mut command = own.script(action);
        command.stdout(Stdio::null()).stderr(File::create(&said).unwrap());
        let status = command.status().unwrap();
        let said = std::fs::read_to_string(said).unwrap();
        assert!(status.success(), "{} {action}: {status}\n{said}", server.name());
        own
    }

    /// Where it is: its URL.
    ///
    /// # Panics
    ///
    /// When that cannot be found out.
    #[must_use]
    pub fn url(&self) -> String {
        let output = self.script("url").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The file with the authority of its certificate, if it has one.
    #[must_use]
    pub fn authority(&self) -> std::path::PathBuf {
        self.place().join("authority.pem")
    }

    fn place(&self) -> std::path::PathBuf {
        self.folder.path().join(self.server.name())
    }

    fn script(&self, action: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/server");
        let mut command = Command::new(script);
        command.arg(self.server.name()).arg(action).arg(self.place());
        command
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // A server that has ended already is what is wanted.
        let _ = self.script("kill").output();
    }
}
