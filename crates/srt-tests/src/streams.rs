//! A stream of known messages through [`SrtSocket`]s, for the tests against other people's programs: every byte follows
//! from its place, so that one that changed, is missing or came twice shows.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use srt::{ConnectionError, Options, SrtSocket};

use crate::peers::PATIENCE;

/// Bytes of a message: seven TS packets, as live video has them.
pub const MESSAGE: usize = 1316;
/// Time between two messages, which makes 8 Mb/s.
pub const BETWEEN: Duration = Duration::from_micros(1_316);

/// This port of this machine.
#[must_use]
pub fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Options with which nothing waits for ever.
#[must_use]
pub fn options(latency: Duration) -> Options {
    Options::new().latency(latency).receive_timeout(Some(PATIENCE)).send_timeout(Some(PATIENCE))
}

/// Its number, and then bytes that follow from it.
#[must_use]
pub fn message(number: u32) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    for word in message.chunks_mut(4) {
        state = (state ^ state << 13) ^ (state ^ state << 13) >> 17;
        state ^= state << 5;
        word.copy_from_slice(&state.to_be_bytes());
    }
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

/// The messages of these numbers.
#[must_use]
pub fn messages(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| message(number).to_vec()).collect()
}

/// One message every [`BETWEEN`]; one that is late is not made up for by a gap.
#[derive(Debug)]
pub struct Pace {
    due: Instant,
}

impl Pace {
    /// The first message is due at once.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it begins now, which no default should")]
    pub fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Waits until the next message is due.
    pub fn next(&mut self) {
        thread::sleep(self.due.saturating_duration_since(Instant::now()));
        self.due += BETWEEN;
    }
}

/// Sends these messages, one every [`BETWEEN`].
///
/// # Panics
/// When one cannot be sent.
pub fn send_paced(socket: &SrtSocket, messages: &[Vec<u8>]) {
    let mut pace = Pace::new();
    for message in messages {
        pace.next();
        socket.send(message).expect("the connection takes the stream");
    }
}

/// So many messages as they come.
///
/// # Errors
/// When fewer come.
pub fn receive(socket: &SrtSocket, count: u32) -> Result<Vec<Vec<u8>>, srt::Error> {
    let mut buffer = [0; 1456];
    (0..count).map(|_| socket.recv(&mut buffer).map(|len| buffer[..len].to_vec())).collect()
}

/// So many bytes at least, in messages as they came.
///
/// # Errors
/// When fewer come.
pub fn receive_bytes(socket: &SrtSocket, bytes: usize) -> Result<Vec<Vec<u8>>, srt::Error> {
    let (mut received, mut got, mut buffer) = (Vec::new(), 0, [0; 1456]);
    while got < bytes {
        let len = socket.recv(&mut buffer)?;
        got += len;
        received.push(buffer[..len].to_vec());
    }
    Ok(received)
}

/// Reads until there is no more, and says why.
///
/// # Panics
/// When that is not the end of the connection.
#[must_use]
pub fn end_of(socket: &SrtSocket) -> ConnectionError {
    let mut buffer = [0; 1456];
    loop {
        if let Err(error) = socket.recv(&mut buffer) {
            let why = error.connection_error();
            assert!(why.is_some(), "no end of the connection, but: {error}");
            if let Some(why) = why {
                return why;
            }
        }
    }
}

/// The stream has come as it was sent.
///
/// # Panics
/// When it has not, with how far it did.
#[track_caller]
pub fn assert_same(got: &[u8], expected: &[u8]) {
    let same = got.iter().zip(expected).take_while(|(got, expected)| got == expected).count();
    let (got_len, expected_len, right) = (got.len(), expected.len(), same / MESSAGE);
    assert!(
        got == expected,
        "{got_len} bytes instead of {expected_len}; the first {same} are right ({right} messages)"
    );
}
