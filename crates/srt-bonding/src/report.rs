//! How each link stands.

use std::net::SocketAddr;

use srt_protocol::{link::LinkCounters, time::Micros, types::SocketId};

use crate::{
    LinkId, capacity,
    event::{Down, Unstable},
};

/// What a link does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// It is down, and will be tried again.
    #[default]
    Down,
    /// It is being called.
    Connecting,
    /// It is up and carries nothing.
    Idle,
    /// It has come back, and is tried with copies before it is trusted with more.
    Probation,
    /// It carries the stream, or its share of it.
    Active,
    /// It is in doubt.
    Unstable,
}

impl LinkState {
    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Connecting => "connecting",
            Self::Idle => "idle",
            Self::Probation => "probation",
            Self::Active => "active",
            Self::Unstable => "unstable",
        }
    }
}

/// The figures of one link, at one moment. Counters are of the link's whole life, through all its tries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkReport {
    /// Which.
    pub id: LinkId,
    /// Where the peer is.
    pub peer: SocketAddr,
    /// Our socket ID on it; 0 while it is down.
    pub socket: SocketId,
    /// What it does.
    pub state: LinkState,
    /// Why it is in doubt.
    pub unstable: Option<Unstable>,
    /// Why it is down.
    pub down: Option<Down>,
    /// Its weight.
    pub weight: u16,
    /// Round trip, smoothed; 0 while it is down.
    pub rtt: Micros,
    /// What of that is queueing.
    pub queueing: Micros,
    /// How much of what it carries is lost, in percent.
    pub loss_percent: u32,
    /// What it may carry now, in bytes per second with all headers; `None` where nothing limits it.
    pub rate: Option<u64>,
    /// What it may carry safely, for an encoder: bytes of payload per second.
    pub safe_rate: Option<u64>,
    /// What the congestion control is doing.
    pub capacity: capacity::State,
    /// Bytes per second that come at the peer, as it says; 0 where unknown.
    pub delivered_bps: u64,
    /// Packets sent and not acknowledged.
    pub in_flight: usize,
    /// How often it came up.
    pub ups: u32,
    /// What it counted.
    pub counters: LinkCounters,
    /// Packets of the stream that it was the first to bring.
    pub first_copies: u64,
}
