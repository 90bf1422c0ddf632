//! SRT (Secure Reliable Transport): live video over networks that lose, jitter and fail.
//!
//! SRT carries messages of up to some 1,400 bytes over UDP. What gets lost is sent again, and every message is handed out
//! exactly `latency` after it was sent, so that a stream comes out as it went in. This crate speaks the protocol of
//! Haivision's libsrt 1.5, and any program that uses it can be the other end.
//!
//! # A sender and a receiver
//!
//! ```no_run
//! use srt::{Options, SrtSocket};
//!
//! # fn main() -> Result<(), srt::Error> {
//! let socket = SrtSocket::connect("media.example.com:9000", &Options::new().stream_id("#!::r=camera1,m=publish"))?;
//! for _ in 0..100 {
//!     socket.send(&[0x47; 1316])?; // seven packets of MPEG-TS
//! }
//! socket.close()?; // waits until the peer has everything, or tells that it has not
//! # Ok(())
//! # }
//! ```
//! ```no_run
//! use srt::{Options, SrtListener};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), srt::Error> {
//! let listener = SrtListener::bind("0.0.0.0:9000", &Options::new().latency(Duration::from_millis(200)))?;
//! let (socket, peer) = listener.accept()?;
//! let mut buffer = [0; 1456];
//! loop {
//!     match socket.recv(&mut buffer) {
//!         Ok(len) => println!("{len} bytes from {peer}"),
//!         Err(error) if error.is_end_of_stream() => break,
//!         Err(error) => return Err(error),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! | for | see |
//! |---|---|
//! | a connection | [`SrtSocket`]; as futures, on any executor, [`aio::SrtSocket`] |
//! | one stream over several links | [`SrtGroup`], [`GroupMode`], [`GroupEvent`] |
//! | taking callers, and choosing among them | [`SrtListener`], [`aio::SrtListener`], [`Decision`] |
//! | options, by builder or by name | [`Options`], [`SocketOption`] |
//! | addresses as text | [`SrtUri`]: `srt://host:port?latency=200` |
//! | thousands of sockets on one thread of yours | [`Poll`] |
//! | figures | [`Stats`], [`ListenerStats`] |
//! | threads | [`Runtime`]: few, and never one per socket |
//! | what went wrong | [`Error`], [`ConnectionError`], [`RejectReason`] |
//!
//! # Encryption
//!
//! Both sides set the same [passphrase](Options::passphrase); AES-128 by default, also AES-192 and AES-256
//! ([`key_length`](Options::key_length)), in CTR or GCM mode ([`cipher_mode`](Options::cipher_mode)). Two libraries can do the
//! computing, each a feature of this crate: `aws-lc-rs`, on by default, is the faster one and needs a C compiler;
//! `rust-crypto` is Rust alone (`default-features = false, features = ["rust-crypto"]`).
//!
//! Times are [`Instant`]s: microseconds on the clock that [`time_now`] reads.
#![forbid(unsafe_code)]

mod address;
pub mod aio;
mod driver;
mod error;
mod facts;
mod group;
mod listener;
mod options;
mod poll;
mod socket;
mod uri;

pub use address::Address;
pub use driver::{
    listening::{ConnectRequest, Decision, ListenerStats},
    parcel::Messages,
    runtime::Runtime,
};
pub use error::Error;
pub use group::{GroupLink, SrtGroup};
pub use listener::SrtListener;
pub use options::Options;
pub use poll::{Interest, Poll, PollEvent, Readiness, Source};
pub use socket::{MessageBatch, SrtSocket};
pub use srt_bonding::{
    Down as LinkDown, Event as GroupEvent, LinkId, LinkReport, LinkState, Mode as GroupMode, Unstable,
    capacity,
};
pub use srt_io::BindError;
pub use srt_protocol::{
    config::{
        CipherMode, Config, ConfigError, KeyLength, Kind, Limits, Linger, OptionInfo, OptionValue,
        Passphrase, SocketOption, Support, Unit, When,
    },
    connection::{ConnectionError, Negotiated, State},
    endpoint::EndpointStats,
    handshake::RejectReason,
    link::{KeyCounters, KeyReport},
    packet::{GroupInfo, KmState},
    stats::{StatValue, Stats},
    stream::{Message, Received, Sent},
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId},
};
pub use uri::{Mode, SrtUri, UriError};

/// Now, on the clock of every [`Message::source_time`], [`Received::source_time`] and [`Received::play_time`].
///
/// Microseconds on the system's monotonic clock. On Linux all programs of a machine read the same one.
#[must_use]
pub fn time_now() -> Instant {
    Instant::from_micros(srt_io::Clock::new().now_micros())
}
