//! SRT (Secure Reliable Transport) as sans-I/O state machines.
