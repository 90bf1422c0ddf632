//! Ours and theirs make what is agreed, or a reason why not. Pure (draft §4.3).

use super::RejectReason;
use crate::{
    config::Config,
    packet::{Handshake, SrtFlags, SrtParameters},
    time::Micros,
};

/// Our version on the wire: that of libsrt 1.5.5, whose behaviour this is.
pub(crate) const OUR_VERSION: u32 = 0x01_05_05;
/// The first version with this handshake (HSv5).
const HSV5_VERSION: u32 = 0x01_03_00;
/// The least MSS that makes sense: headers and one word (libsrt: 76).
const MSS_MIN: u32 = 76;
/// The least flow window (libsrt: 32; believed down to 2).
const FLOW_WINDOW_MIN: u32 = 2;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

/// What both ends agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) peer_version: u32,
    /// We play by time, with this latency.
    pub(crate) receiver_latency: Option<Micros>,
    /// The peer plays by time, with this latency.
    pub(crate) peer_latency: Option<Micros>,
    pub(crate) tlpktdrop: bool,
    pub(crate) peer_tlpktdrop: bool,
    pub(crate) peer_repeats_nak: bool,
    pub(crate) peer_flags_retransmissions: bool,
    pub(crate) mss: u32,
    pub(crate) flow_window: u32,
}

/// The parameters an initiator offers.
pub(crate) fn offer(config: &Config) -> SrtParameters {
    SrtParameters {
        version: OUR_VERSION,
        flags: flags(config, config.tsbpd(), config.tsbpd()),
        receiver_latency_ms: millis(config.receiver_latency()),
        sender_latency_ms: millis(config.peer_latency()),
    }
}

/// The parameters a responder answers with.
pub(crate) fn answer(config: &Config, agreed: &Agreement) -> SrtParameters {
    SrtParameters {
        version: OUR_VERSION,
        flags: flags(config, agreed.peer_latency.is_some(), agreed.receiver_latency.is_some()),
        receiver_latency_ms: agreed.receiver_latency.map_or(0, millis),
        sender_latency_ms: agreed.peer_latency.map_or(0, millis),
    }
}

/// Packets we take before we acknowledge: what FC and the receive buffer both allow.
pub(crate) fn flow_window(config: &Config) -> u32 {
    config.flow_window().min(config.receive_buffer_packets())
}

/// Agrees on a handshake of the peer and its HSREQ or HSRSP, or says why not.
pub(crate) fn agree(
    config: &Config,
    role: Role,
    handshake: &Handshake<'_>,
    peer: &SrtParameters,
    congestion: Option<&[u8]>,
) -> Result<Agreement, RejectReason> {
    if peer.version < HSV5_VERSION {
        return Err(RejectReason::Rogue);
    }
    if peer.version < config.min_version() {
        return Err(RejectReason::Version);
    }
    if handshake.mtu < MSS_MIN {
        return Err(RejectReason::Rogue);
    }
    if peer.flags.contains(SrtFlags::STREAM) == config.message_api() {
        return Err(RejectReason::MessageApi);
    }
    if congestion.unwrap_or(b"live") != config.congestion().as_bytes() {
        return Err(RejectReason::Congestion);
    }
    let receiver_latency = (config.tsbpd() && peer.flags.contains(SrtFlags::TSBPDSND))
        .then(|| config.receiver_latency().max(Micros::from_millis(u64::from(peer.sender_latency_ms))));
    let peer_latency = peer.flags.contains(SrtFlags::TSBPDRCV).then(|| {
        let theirs = Micros::from_millis(u64::from(peer.receiver_latency_ms));
        match role {
            Role::Responder => theirs.max(config.peer_latency()),
            Role::Initiator => theirs,
        }
    });
    Ok(Agreement {
        peer_version: peer.version,
        receiver_latency,
        peer_latency,
        tlpktdrop: config.tlpktdrop() && receiver_latency.is_some(),
        peer_tlpktdrop: peer.flags.contains(SrtFlags::TLPKTDROP) && peer_latency.is_some(),
        peer_repeats_nak: peer.flags.contains(SrtFlags::PERIODICNAK),
        peer_flags_retransmissions: peer.flags.contains(SrtFlags::REXMITFLG),
        mss: handshake.mtu.min(config.mss()),
        flow_window: handshake.flow_window.max(FLOW_WINDOW_MIN),
    })
}

fn flags(config: &Config, sends_by_time: bool, receives_by_time: bool) -> SrtFlags {
    let mut flags = SrtFlags::REXMITFLG;
    for (on, flag) in [
        (sends_by_time, SrtFlags::TSBPDSND),
        (receives_by_time, SrtFlags::TSBPDRCV),
        // Without TSBPD nothing is ever too late, and libsrt senders go by this flag alone.
        (config.tlpktdrop() && receives_by_time, SrtFlags::TLPKTDROP),
        (config.nak_report(), SrtFlags::PERIODICNAK),
        (!config.message_api(), SrtFlags::STREAM),
    ] {
        if on {
            flags = flags.union(flag);
        }
    }
    flags
}

fn millis(span: Micros) -> u16 {
    u16::try_from(span.as_millis()).unwrap_or(u16::MAX)
}
