//! SRT (Secure Reliable Transport) as sans-I/O state machines.
#![forbid(unsafe_code)]

pub mod config;
pub mod congestion;
pub mod connection;
pub mod endpoint;
pub mod handshake;
pub mod link;
pub mod packet;
pub mod stats;
pub mod stream;
pub mod time;
pub mod types;
