//! Induction to Conclusion, the caller's side (draft §4.3.1).

use std::{net::SocketAddr, sync::Arc};

use super::{
    RejectReason,
    message::{HANDSHAKE_VERSION, Offer, payload_size, refuses, with_request},
    negotiate::{self, Agreement, Role},
};
use crate::{
    config::Config,
    connection::Negotiated,
    entropy::Entropy,
    link::{Keys, LinkParameters},
    packet::{Control, ControlPacket, EXT_HSREQ, Extensions, GroupInfo, Handshake, HandshakeKind, MAGIC},
    time::{Instant, Micros},
    types::{SeqNumber, SocketId, Timestamp},
};
use srt_crypto::KeyLength;

/// Time between two tries of the same step.
const RETRY: Micros = Micros::from_millis(250);
/// The version a caller's induction names, for listeners of old.
const INDUCTION_VERSION: u32 = 4;
/// What an induction's extension field names: datagrams.
const INDUCTION_TYPE: u16 = 2;

/// What a caller asks for.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the caller builds it, and whatever comes to it has to be given"
)]
pub struct Call {
    /// Our socket ID: any number but 0 that is unique on the UDP port.
    pub id: SocketId,
    /// The first sequence number of both directions: random, or the next one of the group that the link is to join.
    pub isn: SeqNumber,
    /// Where the listener is.
    pub peer: SocketAddr,
    /// The local address to send from, where it matters.
    pub local_ip: Option<std::net::IpAddr>,
    /// Time zero of our timestamps: now, or that of the group.
    pub epoch: Instant,
    /// The group that the link is to belong to.
    pub group: Option<GroupInfo>,
    /// What keys are made of, where the connection is encrypted.
    pub entropy: Arc<dyn Entropy>,
}

/// A caller whose handshake is under way.
#[derive(Debug)]
pub struct Caller {
    call: Call,
    started: Instant,
    step: Step,
    send_at: Instant,
    /// When the packet of this step left, and whether it was the first.
    sent: Option<(Instant, bool)>,
    /// How long the answer to the induction took; unknown where it may be the answer to any of several.
    rtt: Option<Micros>,
}

#[derive(Debug)]
enum Step {
    Induction,
    Conclusion {
        cookie: u32,
        /// Taken when it ends.
        keys: Option<Box<Keys>>,
    },
}

/// What a handshake agreed, for a link and what it carries.
#[derive(Debug)]
#[non_exhaustive]
pub struct Agreed {
    /// What both ends agreed on.
    pub negotiated: Negotiated,
    /// What the link starts with.
    pub link: LinkParameters,
    /// Its keys.
    pub keys: Keys,
    /// The group of the peer that the link belongs to.
    pub group: Option<GroupInfo>,
}

/// What a packet of the listener made of the handshake.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever drives a caller has to deal with each outcome")]
pub enum Outcome {
    /// It goes on.
    Continues,
    /// It is done: the link is up.
    Established(Box<Agreed>),
    /// The listener refused.
    Rejected(RejectReason),
    /// The listener accepted, and what it says does not go with our options; it is to be told by a SHUTDOWN.
    Declined(RejectReason),
}

impl Caller {
    /// Starts to call at `now`.
    #[must_use]
    pub const fn new(now: Instant, call: Call) -> Self {
        Self { call, started: now, step: Step::Induction, send_at: now, sent: None, rtt: None }
    }

    /// What it asks for.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// When the next packet is due.
    #[must_use]
    pub const fn send_at(&self) -> Instant {
        self.send_at
    }

    /// When it has failed: CONNTIMEO after its start.
    #[must_use]
    pub fn gives_up_at(&self, config: &Config) -> Instant {
        self.started + config.connect_timeout()
    }

    /// Appends the packet of the step where one is due; false where none is.
    pub fn poll(&mut self, now: Instant, config: &Config, out: &mut Vec<u8>) -> bool {
        if now < self.send_at {
            return false;
        }
        self.send_at = now + RETRY;
        self.sent = Some((now, self.sent.is_none()));
        let base = Handshake {
            version: INDUCTION_VERSION,
            encryption: 0,
            extension_field: INDUCTION_TYPE,
            isn: self.call.isn,
            mtu: config.mss(),
            flow_window: negotiate::flow_window(config),
            kind: HandshakeKind::Induction,
            socket_id: self.call.id,
            cookie: 0,
            peer_ip: self.call.peer.ip(),
            extensions: Extensions::List(&[]),
        };
        let timestamp = Timestamp::from_elapsed(now.saturating_since(self.call.epoch));
        match &self.step {
            Step::Induction => write(timestamp, base, out),
            &Step::Conclusion { cookie, ref keys } => {
                let request = keys.as_ref().and_then(|keys| keys.request());
                let group = self.call.group;
                with_request(config, negotiate::offer(config), group, request, |field, extensions| {
                    let conclusion = Handshake {
                        version: HANDSHAKE_VERSION,
                        encryption: advertised(config),
                        extension_field: field,
                        kind: HandshakeKind::Conclusion,
                        cookie,
                        extensions,
                        ..base
                    };
                    write(timestamp, conclusion, out);
                })
            }
        }
        true
    }

    /// Takes a handshake packet of the listener.
    pub fn on_handshake(&mut self, now: Instant, config: &Config, answer: &Handshake<'_>) -> Outcome {
        match (&self.step, answer.kind) {
            (_, HandshakeKind::Rejection(reason)) => Outcome::Rejected(reason),
            (Step::Induction, HandshakeKind::Induction) => {
                if answer.version < HANDSHAKE_VERSION || answer.extension_field != MAGIC {
                    return Outcome::Rejected(RejectReason::Version);
                }
                self.rtt = self.sent.filter(|sent| sent.1).map(|sent| now.saturating_since(sent.0));
                let wanted = KeyLength::try_from(usize::from(answer.encryption) * 8).ok();
                match Keys::initiator(config, wanted, &self.call.entropy) {
                    Ok(keys) => {
                        self.step = Step::Conclusion { cookie: answer.cookie, keys: Some(Box::new(keys)) };
                        self.send_at = now;
                        Outcome::Continues
                    }
                    Err(reason) => Outcome::Rejected(reason),
                }
            }
            (Step::Conclusion { .. }, HandshakeKind::Conclusion) => match self.conclude(config, answer) {
                Ok(established) => Outcome::Established(Box::new(established)),
                Err(reason) => Outcome::Declined(reason),
            },
            _ => Outcome::Continues, // a repetition of what was answered already
        }
    }

    fn conclude(&mut self, config: &Config, answer: &Handshake<'_>) -> Result<Agreed, RejectReason> {
        if answer.version != HANDSHAKE_VERSION || answer.extension_field & EXT_HSREQ == 0 {
            return Err(RejectReason::Rogue);
        }
        let offer = Offer::read(&answer.extensions, false)?;
        let parameters = offer.parameters.ok_or(RejectReason::Rogue)?;
        if let Some(reason) = refuses(&offer) {
            return Err(reason);
        }
        let congestion = offer.congestion.as_deref();
        let agreed = negotiate::agree(config, Role::Initiator, answer, &parameters, congestion)?;
        let Step::Conclusion { keys, .. } = &mut self.step else { return Err(RejectReason::Rogue) };
        let mut keys = keys.take().map_or_else(Keys::none, |keys| *keys);
        keys.on_handshake_answer(offer.key_answer.as_deref(), agreed.peer_version)?;
        Ok(establish(
            config,
            &agreed,
            keys,
            Ends {
                local_id: self.call.id,
                peer_id: answer.socket_id,
                peer: self.call.peer,
                local_ip: self.call.local_ip,
                epoch: self.call.epoch,
                send_isn: self.call.isn,
                receive_isn: answer.isn,
                first_rtt: self.rtt,
                our_ip: answer.peer_ip,
                stream_id: config.stream_id().to_vec(),
                group: offer.group.filter(|_| self.call.group.is_some()),
            },
        ))
    }
}

fn write(timestamp: Timestamp, handshake: Handshake<'_>, out: &mut Vec<u8>) {
    let control = Control::Handshake(handshake);
    ControlPacket { timestamp, destination: SocketId::HANDSHAKE, control }.write(out);
}

/// What the two ends are, beside what they agreed.
pub(crate) struct Ends {
    pub(crate) local_id: SocketId,
    pub(crate) peer_id: SocketId,
    pub(crate) peer: SocketAddr,
    pub(crate) local_ip: Option<std::net::IpAddr>,
    pub(crate) epoch: Instant,
    pub(crate) send_isn: SeqNumber,
    pub(crate) receive_isn: SeqNumber,
    pub(crate) first_rtt: Option<Micros>,
    pub(crate) our_ip: std::net::IpAddr,
    pub(crate) stream_id: Vec<u8>,
    pub(crate) group: Option<GroupInfo>,
}

/// Puts ends and agreement together.
pub(crate) fn establish(config: &Config, agreed: &Agreement, keys: Keys, ends: Ends) -> Agreed {
    let ipv6 = ends.peer.is_ipv6() && ends.peer.ip().to_canonical().is_ipv6();
    let negotiated = Negotiated {
        peer_version: agreed.peer_version,
        receiver_latency: agreed.receiver_latency,
        peer_latency: agreed.peer_latency,
        send_isn: ends.send_isn,
        receive_isn: ends.receive_isn,
        mss: agreed.mss,
        payload_size: payload_size(config, agreed, ipv6, keys.tag_len()),
        encryption: keys.cipher(),
        km_states: (keys.report().send_state, keys.report().receive_state),
        flow_window: agreed.flow_window,
        stream_id: ends.stream_id,
        our_ip: ends.our_ip,
        tlpktdrop: agreed.tlpktdrop,
        peer_tlpktdrop: agreed.peer_tlpktdrop,
    };
    let link = LinkParameters {
        local_id: ends.local_id,
        peer_id: ends.peer_id,
        peer: ends.peer,
        local_ip: ends.local_ip,
        epoch: ends.epoch,
        send_isn: ends.send_isn,
        receive_isn: ends.receive_isn,
        mss: agreed.mss,
        flow_window: agreed.flow_window,
        peer_latency: agreed.peer_latency,
        peer_drops_too_late: agreed.peer_tlpktdrop,
        peer_repeats_nak: agreed.peer_repeats_nak,
        peer_flags_retransmissions: agreed.peer_flags_retransmissions,
        first_rtt: ends.first_rtt,
    };
    Agreed { negotiated, link, keys, group: ends.group }
}

/// The key length that is asked for, as handshakes say it: 2, 3, 4 for 16, 24, 32 bytes, 0 for none in particular.
pub(crate) fn advertised(config: &Config) -> u16 {
    config.key_length().map_or(0, |length| u16::try_from(length.bytes() / 8).unwrap_or(0))
}
