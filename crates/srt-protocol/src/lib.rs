//! SRT (Secure Reliable Transport, draft-sharabayko-srt) as sans-I/O state machines, wire-compatible with libsrt 1.5.5.
//!
//! Nothing here owns a socket, a thread, a lock, a clock or a source of entropy: bytes, commands and the time go in; bytes,
//! events and deadlines come out. That makes a run repeatable to the last bit, in a test as in the field.
//!
//! | room | is |
//! |---|---|
//! | [`types`], [`time`] | the small numbers: sequence and message numbers, socket IDs, timestamps, instants |
//! | [`packet`] | bytes ⇄ values |
//! | [`config`] | the one table of options, and a [`Config`](config::Config) that is valid whenever it exists |
//! | [`handshake`], [`endpoint`] | from the first packet to a link; who a datagram is for |
//! | [`stream`] | what is sent: one order of packets, its buffers, its play clock |
//! | [`link`] | how it travels: what was carried and when, ACK and NAK, round trip, pacing |
//! | [`entropy`] | where randomness comes from |
//! | [`congestion`] | how fast to send |
//! | [`connection`] | a stream over one link |
//! | [`ending`] | when a stream ends, and what is too late |
//! | [`events`] | what waits to be told |
//! | [`stats`] | what is counted |
//!
//! A caller and a listener, with the wire between them played by two loops:
//!
//! ```
//! use std::sync::Arc;
//!
//! use srt_protocol::{
//!     config::Config,
//!     connection::{CallerSetup, Connection, State, TransmitBatch},
//!     endpoint::Endpoint,
//!     entropy,
//!     time::{Instant, Micros},
//!     types::{SeqNumber, SocketId},
//! };
//!
//! let (here, there) = ("192.0.2.1:5000".parse()?, "192.0.2.2:6000".parse()?);
//! let mut now = Instant::from_micros(0); // the only clock there is
//! let mut endpoint = Endpoint::new([7; 16], Arc::new(entropy::Nothing)); // in earnest: random bytes, and a source of them
//! endpoint.listen(Config::live(), 10);
//! let (id, isn) = (SocketId::new(1), SeqNumber::new(42)); // in earnest: random
//! let setup =
//!     CallerSetup { config: Config::live(), peer: there, local_ip: None, id, isn, entropy: Arc::new(entropy::Nothing) };
//! let mut caller = Connection::connect(now, setup);
//! let mut accepted = None;
//! let mut batch = TransmitBatch::default();
//! while caller.state() != State::Connected {
//!     now += Micros::from_millis(1);
//!     caller.handle_timeout(now);
//!     while let Some(transmit) = caller.poll_transmit(now, &mut batch) {
//!         for datagram in batch.bytes().chunks(transmit.segment_size) {
//!             endpoint.handle_datagram(now, here, None, datagram);
//!         }
//!     }
//!     while let Some(incoming) = endpoint.poll_incoming() {
//!         accepted = Some(endpoint.accept(now, &incoming, Config::live(), SocketId::new(2))?);
//!     }
//!     while endpoint.poll_transmit(&mut batch).is_some() {
//!         caller.handle_datagram(now, batch.bytes());
//!     }
//! }
//! assert!(accepted.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod config;
pub mod congestion;
pub mod connection;
pub mod ending;
pub mod endpoint;
pub mod entropy;
pub mod events;
pub mod handshake;
pub mod link;
pub mod packet;
pub mod stats;
pub mod stream;
pub mod time;
pub mod types;
