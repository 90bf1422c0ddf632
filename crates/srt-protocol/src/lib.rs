//! SRT (Secure Reliable Transport) as sans-I/O state machines.
#![forbid(unsafe_code)]

pub mod config;
pub mod handshake;
pub mod packet;
pub mod stats;
pub mod time;
pub mod types;
