//! What the broker and its driver say, in our words, with the remedy.

use std::io;

use lapin::ErrorKind;
use thiserror::Error;

use super::RabbitOptions;
use crate::{BusError, BusErrorKind, MessageId};

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const FRAME_ERROR: u16 = 501;
const NOT_ALLOWED: u16 = 530;

/// Why one try to connect failed.
#[derive(Debug)]
pub(super) struct DialError {
    /// What is wrong and what helps.
    pub(super) message: String,
    /// Only a person can mend it, so it is tried again slowly.
    pub(super) needs_a_person: bool,
    pub(super) source: Option<lapin::Error>,
}

impl DialError {
    pub(super) fn timed_out(options: &RabbitOptions) -> Self {
        let message = format!(
            "no answer from {} within {:?}; check host, port and firewall, and whether the broker runs",
            options.address(),
            options.connect_timeout
        );
        Self { message, needs_a_person: false, source: None }
    }

    pub(super) fn new(error: lapin::Error, options: &RabbitOptions) -> Self {
        let (message, needs_a_person) = match error.kind() {
            ErrorKind::ProtocolError(told) => match told.get_id() {
                ACCESS_REFUSED => (
                    format!(
                        "the broker at {} does not let user `{}` in; check user and password of the URL",
                        options.address(),
                        options.user()
                    ),
                    true,
                ),
                NOT_ALLOWED => (
                    format!(
                        "virtual host `{vhost}` does not exist, or user `{user}` may not use it; create it with \
                         `rabbitmqctl add_vhost {vhost}` and `rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'`, or change the URL",
                        vhost = options.vhost(),
                        user = options.user()
                    ),
                    true,
                ),
                _ => (format!("the broker at {} ended the connection", options.address()), false),
            },
            ErrorKind::IOError(told) => of_the_system(told, options),
            ErrorKind::MissingHeartbeatError => {
                (format!("no sign of life from {}", options.address()), false)
            }
            _ => (format!("cannot connect to {}", options.address()), false),
        };
        Self { message, needs_a_person, source: Some(error) }
    }

    pub(super) fn into_bus_error(self) -> BusError {
        let kind = if self.needs_a_person { BusErrorKind::Refused } else { BusErrorKind::Disconnected };
        let error = BusError::new(kind, self.message);
        match self.source {
            Some(source) => error.with_source(DriverError(source)),
            None => error,
        }
    }
}

fn of_the_system(error: &io::Error, options: &RabbitOptions) -> (String, bool) {
    let address = options.address();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            format!(
                "nothing listens at {address}; check host and port of the URL, and whether the broker runs"
            ),
            false,
        ),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if options.is_encrypted() => (
            format!(
                "no encrypted connection to {address}; give the authority of its certificate with `cacertfile=` in the URL, \
                 name the host as the certificate does, or use `amqp://` for a port without TLS"
            ),
            true,
        ),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => (
            format!("{address} ended the connection at once; if that port speaks TLS, use `amqps://`"),
            false,
        ),
        _ if error.to_string().contains("lookup") => {
            (format!("host `{}` is not known; check the host of the URL", options.uri.authority.host), false)
        }
        _ => (format!("cannot connect to {address}"), false),
    }
}

/// An error of the driver, whose type stays in here.
#[derive(Debug, Error)]
#[error("{0}")]
struct DriverError(lapin::Error);

/// What an operation on a channel failed with.
pub(super) fn of_channel(error: lapin::Error, context: impl Into<String>) -> BusError {
    let kind = match code(&error) {
        Some(PRECONDITION_FAILED) => BusErrorKind::Declaration,
        Some(_) => BusErrorKind::Backend,
        None if is_limit_of_channels(&error) => BusErrorKind::Declaration,
        None => BusErrorKind::Disconnected,
    };
    BusError::new(kind, context).with_source(DriverError(error))
}

/// Whether an error ends the connection, and not only a channel.
pub(super) fn ends_connection(error: &lapin::Error) -> bool {
    let of_a_channel =
        matches!(error.kind(), ErrorKind::InvalidChannel(_) | ErrorKind::InvalidChannelState(..));
    !of_a_channel && !is_limit_of_channels(error) && !error.is_amqp_soft_error()
}

/// Whether there are as many channels as the broker allows (`channel_max`): a fault of who wants one more.
fn is_limit_of_channels(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ChannelsLimitReached)
}

/// Whether the broker closed a channel because it does not take a message that was published on it.
pub(super) fn is_refusal(error: &lapin::Error) -> bool {
    matches!(code(error), Some(ACCESS_REFUSED | PRECONDITION_FAILED))
}

/// What the publisher of a message is told that the broker refuses. Rights may be granted; a message that breaks a rule always will.
pub(super) fn of_refusal(error: &lapin::Error, id: &MessageId) -> (BusErrorKind, String) {
    let kind = match code(error) {
        Some(ACCESS_REFUSED) => BusErrorKind::Forbidden,
        _ => BusErrorKind::Unsupported,
    };
    (kind, format!("the broker refuses message {id}: {}", told(error)))
}

/// Whether a connection ended because a frame was larger than agreed.
pub(super) fn is_large_frame(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(told) if told.get_id() == FRAME_ERROR)
}

/// Whether a connection ended because lapin cannot read what the broker sent, such as a property that is no UTF-8.
pub(super) fn is_unreadable(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ParsingError(_))
}

pub(super) fn is_missing(error: &lapin::Error) -> bool {
    code(error) == Some(NOT_FOUND)
}

pub(super) fn is_mismatch(error: &lapin::Error) -> bool {
    code(error) == Some(PRECONDITION_FAILED)
}

/// What the broker said, without the name of the code.
pub(super) fn told(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(told) => {
            let text = told.get_message().as_str();
            text.split_once(" - ").map_or(text, |(_, rest)| rest).to_owned()
        }
        _ => error.to_string(),
    }
}

/// The code that the broker closed a channel with.
fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        // A soft error closes the channel; a hard one the connection.
        ErrorKind::ProtocolError(told) if error.is_amqp_soft_error() => Some(told.get_id()),
        _ => None,
    }
}
