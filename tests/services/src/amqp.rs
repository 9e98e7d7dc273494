//! As much of the frames of AMQP 0-9-1 as a relay needs to put in and to leave out
//! ([specification](https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf), 2.3.5).

const METHOD: u8 = 1;
const FRAME_END: u8 = 0xce;
const HEAD: usize = 7;

const CONNECTION: u16 = 10;
const BLOCKED: u16 = 60;
const UNBLOCKED: u16 = 61;
const BASIC: u16 = 60;
const ACK: u16 = 80;

/// The length of the frame that `bytes` begin with, once its head is there.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let size = bytes.get(3..HEAD)?;
    Some(HEAD + u32::from_be_bytes(size.try_into().unwrap()) as usize + 1)
}

/// Whether a frame is a confirmation, or an acknowledgement.
pub(crate) fn is_ack(frame: &[u8]) -> bool {
    frame[0] == METHOD && frame[HEAD..].starts_with(&[BASIC.to_be_bytes(), ACK.to_be_bytes()].concat())
}

/// `connection.blocked`, an extension of RabbitMQ.
pub(crate) fn blocked(reason: &str) -> Vec<u8> {
    let length = u8::try_from(reason.len()).expect("a short reason");
    method(BLOCKED, &[&[length], reason.as_bytes()].concat())
}

/// `connection.unblocked`.
pub(crate) fn unblocked() -> Vec<u8> {
    method(UNBLOCKED, &[])
}

fn method(id: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&CONNECTION.to_be_bytes()[..], &id.to_be_bytes(), arguments].concat();
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    // On channel 0, as every method of the connection.
    [&[METHOD, 0, 0][..], &size, &payload, &[FRAME_END]].concat()
}
