//! Bonding for SRT (Secure Reliable Transport): one stream over several links, as sans-I/O state machines.
#![forbid(unsafe_code)]

pub mod capacity;
