//! What is wrong with the certificate of a server, and what to do about it.

use std::io;

use rustls::{CertificateError, Error};

/// Whether an error of the connection is one that only a person can mend: of its encryption, or of the files for it.
pub(super) fn is_at_fault(error: &io::Error) -> bool {
    fault(error).is_some() || is_missing_file(error)
}

/// What to do, for people.
pub(super) fn remedy(error: &io::Error, place: &str) -> String {
    match fault(error) {
        Some(Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => format!(
                "the certificate of {place} is signed by nobody who is trusted; give that of its authority as sslrootcert=FILE in the address"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the certificate of {place} is for another name; give the host in the address the name that is in the certificate, or ask for less with sslmode=verify-ca"
            ),
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {place} is not valid now; renew it, or correct the clocks")
            }
            _ => format!("the certificate of {place} is not accepted; give the server another"),
        },
        Some(_) => format!("TLS with {place} fails; check that it speaks TLS 1.2 or 1.3, and sslmode"),
        None => "a file of sslrootcert, sslcert or sslkey cannot be read; check the address".to_owned(),
    }
}

fn fault(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// A server that is not there is told otherwise, on a network at least. A firewall of this machine denies by EPERM, which no file does that is only read.
fn is_missing_file(error: &io::Error) -> bool {
    const EPERM: i32 = 1;
    match error.kind() {
        io::ErrorKind::NotFound => true,
        io::ErrorKind::PermissionDenied => error.raw_os_error() != Some(EPERM),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_is_not_taken_for_a_file_that_cannot_be_read() {
        let (firewall, file) = (io::Error::from_raw_os_error(1), io::Error::from_raw_os_error(13));
        assert_eq!(firewall.kind(), file.kind());
        assert!(is_at_fault(&file) && !is_at_fault(&firewall));
    }
}
