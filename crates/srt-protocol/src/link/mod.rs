//! How a stream travels: one peer address and one pair of socket IDs, what it carried and when, the exchange of ACK
//! and NAK, round trip and pacing.
//!
//! A link never holds payload. It is told facts (`on_*`), is asked what leaves next, and writes packets into a batch;
//! which packet of the stream it carries is decided by its owner: a [`Connection`](crate::connection::Connection), or a group.

mod ack;
mod counters;
mod gaps;
pub(crate) mod keys;
mod loss;
mod pacing;
mod rate;
mod rtt;
mod sent;

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use self::{
    ack::{AckDue, AckState},
    gaps::Gaps,
    loss::{ToResend, Worth},
    rate::{Capacity, ReceiveRate},
    sent::SentLog,
};
pub use self::{
    counters::LinkCounters,
    keys::{KeyCounters, KeyReport, Keys},
    pacing::TokenBucket,
    rtt::Rtt,
};
use crate::{
    config::Config,
    packet::{
        Ack, AckDetail, Control, ControlPacket, DataHeader, DropRequest, HEADER_SIZE, KMREQ, KMRSP,
        LossReport, UDP_IP_OVERHEAD,
    },
    stream::{DriftTracer, ReceiveBuffer, SendBuffer, SeqRange, Tsbpd, count},
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

/// Time without a packet of ours after which a keepalive leaves (draft §3.2.3).
const KEEPALIVE_PERIOD: Micros = Micros::from_secs(1);
/// A peer that has nothing to say is heard every second; three of its signs of life may be lost. libsrt: 5.1 s
/// (`checkExpTimer`).
const IDLE_LEAST: Micros = Micros::from_millis(4_500);
/// Added to RTT + 4·RTTVar before the tail of a stream is sent again: the peer's ACK period, and as much again.
const TAIL_MARGIN: Micros = Micros::from_millis(20);
/// Added to that where the stream is slow: the peer may wait for more of it.
const TAIL_MARGIN_MORE: Micros = Micros::from_millis(40);
/// The longest wait between two packets sent again unasked.
const PROBE_WAIT_MAX: Micros = Micros::from_secs(1);
/// How long a key is waited for where nothing is played by time.
const KEYLESS_PATIENCE: Micros = Micros::from_secs(1);
/// ACKACKs and DROPREQs that wait to be sent, at most.
const REPLIES_MAX: usize = 256;
/// DROPREQs that one NAK is answered with, at most.
const DROP_REQUESTS_A_REPORT: usize = 16;
/// How far back a DROPREQ reaches at most, in packets: a NAK may name anything.
const DROP_REQUEST_BACK_MAX: i32 = 1 << 16;
/// What ACK reports as the peer's buffer is believed up to this.
const WINDOW_MAX: u32 = 1 << 24;

/// What a handshake agreed for a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkParameters {
    /// Our socket ID.
    pub local_id: SocketId,
    /// The peer's socket ID.
    pub peer_id: SocketId,
    /// Where the peer is.
    pub peer: SocketAddr,
    /// The address to answer from, where it is to be given.
    pub local_ip: Option<IpAddr>,
    /// Time zero of our timestamps.
    pub epoch: Instant,
    /// First number we send.
    pub send_isn: SeqNumber,
    /// First number the peer sends.
    pub receive_isn: SeqNumber,
    /// MSS agreed, in bytes.
    pub mss: u32,
    /// Packets the peer takes before it acknowledges.
    pub flow_window: u32,
    /// The latency at which the peer plays what we send; `None` where it does not play by time.
    pub peer_latency: Option<Micros>,
    /// The peer gives up what is missing when a later packet is due.
    pub peer_drops_too_late: bool,
    /// The peer repeats its loss reports.
    pub peer_repeats_nak: bool,
    /// The peer sets the R flag on retransmissions.
    pub peer_flags_retransmissions: bool,
    /// How long the peer took to answer in the handshake, where that is known: the round trip until one was measured.
    pub first_rtt: Option<Micros>,
}

impl LinkParameters {
    /// A link between these socket IDs (ours, the peer's) that starts at `isn` in both directions, with default sizes.
    #[must_use]
    pub const fn new(
        ids: (SocketId, SocketId),
        peer: SocketAddr,
        epoch: Instant,
        isn: SeqNumber,
        peer_latency: Option<Micros>,
    ) -> Self {
        Self {
            local_id: ids.0,
            peer_id: ids.1,
            peer,
            local_ip: None,
            epoch,
            send_isn: isn,
            receive_isn: isn,
            mss: 1500,
            flow_window: 8192,
            peer_latency,
            peer_drops_too_late: true,
            peer_repeats_nak: true,
            peer_flags_retransmissions: true,
            first_rtt: None,
        }
    }
}

/// Why a deadline is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// A handshake packet is repeated.
    Handshake,
    /// The handshake has failed by then.
    ConnectTimeout,
    /// Something waits to be sent.
    Transmit,
    /// Pacing lets the next packet go.
    Pacing,
    /// An acknowledgement is due.
    Ack,
    /// A hole is reported (again).
    Nak,
    /// A sign of life is due.
    Keepalive,
    /// The peer has gone if it is not heard by then.
    PeerIdle,
    /// The tail of the stream is sent again.
    TailProbe,
    /// A second copy leaves.
    SecondCopy,
    /// A message about keys is due.
    KeyMaterial,
    /// The oldest packet is too late.
    TooLate,
    /// The orderly end goes on.
    Close,
}

/// When to call `handle_timeout`, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Why.
    pub timer: Timer,
}

impl Deadline {
    /// A deadline.
    #[must_use]
    pub const fn new(at: Instant, timer: Timer) -> Self {
        Self { at, timer }
    }

    /// The earlier of two.
    #[must_use]
    pub fn earlier(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.at < one.at { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}

/// What a NAK says.
enum Reported {
    /// This number, which is not acknowledged.
    Lost(SeqNumber),
    /// These, which are.
    Gone(SeqNumber, SeqNumber),
}

/// How a stream travels to one peer address.
#[derive(Debug)]
pub struct Link {
    parameters: LinkParameters,
    nak_report: bool,
    skip_fresh_resends: bool,
    overhead_percent: u32,
    idle_timeout: Micros,
    counters: LinkCounters,
    rtt: Rtt,
    heard_at: Instant,
    spoke_at: Instant,
    // what we send
    sent: SentLog,
    resend: ToResend,
    pacing: TokenBucket,
    resend_pacing: TokenBucket,
    window: u32,
    /// The highest number an ACK named.
    acknowledged: SeqNumber,
    /// No packet is sent again unasked before this.
    probe_from: Instant,
    /// How long to wait for an answer to that; longer each time.
    probe_wait: Micros,
    peer_capacity_pps: u32,
    // what comes
    gaps: Gaps,
    ack: AckState,
    rate: ReceiveRate,
    capacity: Capacity,
    drift: Option<DriftTracer>,
    keys: Keys,
    /// Since when nothing could be decrypted for want of a key.
    keyless_since: Option<Instant>,
    /// It has others beside it.
    shared: bool,
    silent: bool,
    /// Added to the stamps of ACKACKs.
    ackack_shift: i64,
    received_bps: u32,
    // answers that wait
    ackacks: VecDeque<u32>,
    drop_requests: VecDeque<DropRequest>,
    nak_ranges: Vec<SeqRange>,
}

impl Link {
    /// A link that just came up at `now`.
    #[must_use]
    pub fn new(now: Instant, parameters: LinkParameters, config: &Config) -> Self {
        Self::with_keys(now, parameters, config, Keys::none())
    }

    /// The same with the keys that the handshake agreed on.
    #[must_use]
    pub fn with_keys(now: Instant, parameters: LinkParameters, config: &Config, keys: Keys) -> Self {
        let room = config.receive_buffer_packets() as usize;
        Self {
            nak_report: config.nak_report(),
            skip_fresh_resends: config.retransmit_algo() == 1,
            overhead_percent: config.overhead_percent(),
            idle_timeout: config.peer_idle_timeout().max(IDLE_LEAST),
            counters: LinkCounters::default(),
            rtt: parameters.first_rtt.map_or_else(Rtt::default, Rtt::guessed),
            heard_at: now,
            spoke_at: now,
            sent: SentLog::new(parameters.send_isn),
            resend: ToResend::new(),
            pacing: TokenBucket::new(now, None),
            resend_pacing: TokenBucket::new(now, u64::try_from(config.max_rexmit_bw()).ok()),
            window: parameters.flow_window.min(config.flow_window()),
            acknowledged: parameters.send_isn,
            probe_from: now,
            probe_wait: TAIL_MARGIN,
            peer_capacity_pps: 0,
            gaps: Gaps::new(parameters.receive_isn, config.loss_max_ttl()),
            ack: AckState::new(parameters.receive_isn, room),
            rate: ReceiveRate::default(),
            capacity: Capacity::default(),
            drift: config.drift_tracer().then(DriftTracer::default),
            keys,
            keyless_since: None,
            shared: false,
            silent: false,
            ackack_shift: 0,
            received_bps: 0,
            ackacks: VecDeque::new(),
            drop_requests: VecDeque::new(),
            nak_ranges: Vec::new(),
            parameters,
        }
    }

    /// The same beside others: what it did not carry, others may have.
    #[must_use]
    pub fn shared(now: Instant, parameters: LinkParameters, config: &Config, keys: Keys) -> Self {
        let mut link = Self { shared: true, ..Self::with_keys(now, parameters, config, keys) };
        link.ack.set_steady();
        link
    }

    /// Whether KEEPALIVEs are left out, and nothing is sent again unasked: its owner gives signs of life by other means, and knows
    /// better what is missing.
    pub const fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// Time between full ACKs while data comes fast: 10 ms, as the draft has it, unless the peer learns by other means what came.
    pub fn set_ack_period(&mut self, period: Micros) {
        self.ack.set_period(period);
    }

    /// What is added to the stamps of ACKACKs, in µs: what the peer takes for clock drift.
    pub const fn set_ackack_shift(&mut self, shift: i64) {
        self.ackack_shift = shift;
    }

    /// Takes changed options.
    pub fn configure(&mut self, now: Instant, config: &Config) {
        self.overhead_percent = config.overhead_percent();
        self.resend_pacing.set_rate(now, u64::try_from(config.max_rexmit_bw()).ok());
        self.gaps.set_tolerance_max(config.loss_max_ttl());
        match (&self.drift, config.drift_tracer()) {
            (None, true) => self.drift = Some(DriftTracer::default()),
            (Some(_), false) => self.drift = None,
            _ => {}
        }
    }

    /// Sets the rate of everything sent, in bytes per second; `None` is unlimited.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>) {
        self.pacing.set_rate(now, rate);
    }

    // ---- facts -------------------------------------------------------------------------------------------------

    /// Something came from the peer.
    pub const fn on_heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// A data packet came and has a place in the stream, or had one.
    pub fn on_data(
        &mut self,
        now: Instant,
        header: &DataHeader,
        payload_len: usize,
        receive: &ReceiveBuffer,
    ) {
        self.on_data_of(now, header, payload_len, receive, Micros::ZERO);
    }

    /// The same on a link that has others beside it: what it misses is asked for only after `elsewhere`, in which they may bring it;
    /// and what they have brought is not missed at all.
    pub fn on_shared_data(
        &mut self,
        now: Instant,
        header: &DataHeader,
        payload_len: usize,
        receive: &ReceiveBuffer,
        elsewhere: Micros,
    ) {
        self.gaps.settle(header.seq);
        let Some((first, last)) = self.on_data_of(now, header, payload_len, receive, elsewhere) else {
            return;
        };
        // What the stream cannot hold it has not.
        let held = count(first, last).min(receive.capacity());
        let mut seq = first;
        for _ in 0..held {
            if !receive.wants(seq) {
                self.gaps.on_elsewhere(seq);
            }
            seq = seq.next();
        }
    }

    /// Another link has brought `seq`.
    pub fn on_elsewhere(&mut self, now: Instant, seq: SeqNumber) {
        let missing = self.gaps.first_missing();
        self.gaps.on_elsewhere(seq);
        if self.gaps.first_missing() != missing {
            self.ack.on_change(now);
        }
    }

    fn on_data_of(
        &mut self,
        now: Instant,
        header: &DataHeader,
        payload_len: usize,
        receive: &ReceiveBuffer,
        elsewhere: Micros,
    ) -> Option<SeqRange> {
        self.counters.received_packets += 1;
        self.counters.received_bytes += payload_len as u64;
        let behind = usize::try_from(receive.next().distance_from(header.seq)).unwrap_or(0);
        if behind > receive.capacity() * 4 && !header.seq.is_before(self.gaps.next()) {
            self.counters.implausible += 1; // from the other side of the circle
            return None;
        }
        let retransmitted = header.retransmitted || !self.parameters.peer_flags_retransmissions;
        if header.retransmitted {
            self.counters.received_retransmitted_packets += 1;
        }
        let wire_size = payload_len + HEADER_SIZE + UDP_IP_OVERHEAD;
        self.rate.on_packet(now, wire_size);
        if !header.retransmitted {
            self.capacity.on_packet(now, header.seq, wire_size, self.parameters.mss as usize);
        }
        let play_time = receive.tsbpd().map(|tsbpd| tsbpd.play_time(tsbpd.unwrap(header.timestamp)));
        let deadline = play_time.filter(|_| receive.drops_too_late());
        let window_max = receive.tsbpd().map_or(Micros::MAX, |tsbpd| tsbpd.latency() - self.rtt.overdue());
        self.gaps.forget_before(receive.next());
        let (hole, filled) =
            self.gaps.on_packet(now, header.seq, retransmitted, deadline, (window_max, elsewhere));
        if let Some((first, last)) = hole
            && elsewhere.is_zero()
        {
            self.counters.missing_packets += count(first, last) as u64;
        }
        if filled.is_some() && !header.retransmitted {
            let distance = self.gaps.next().distance_from(header.seq).unsigned_abs() - 1;
            self.counters.reorder_distance = self.counters.reorder_distance.max(distance);
        }
        self.gaps.expire(now);
        let next = self.gaps.first_missing();
        // A libsrt sender that gets no periodic NAK from us sends everything again where an ACK is late (`checkRexmitTimer`).
        // Who sends over several links steers by what an ACK tells.
        let hurry = self.shared
            || self.rtt.first().is_none()
            || !self.nak_report
            || next != self.gaps.next()
            || receive.available(next) < receive.capacity() / 2;
        self.ack.on_data(now, hurry);
        hole
    }

    /// KMREQ or KMRSP came, or another message of an extension.
    pub fn on_user_defined(&mut self, now: Instant, subtype: u16, content: &[u8]) {
        match subtype {
            KMREQ => self.keys.on_request(now, content),
            KMRSP => self.keys.on_answer(content),
            _ => self.on_ignored(),
        }
    }

    /// Whether the payload of a packet is to be taken as it is.
    #[must_use]
    pub fn takes_plain(&self, header: &DataHeader) -> bool {
        self.keys.takes_plain(header)
    }

    /// Decrypts the payload of a packet into `plain`, which is as long; gives its length, or `None` where it is of no use.
    pub fn open(&mut self, header: &DataHeader, payload: &[u8], plain: &mut [u8]) -> Option<usize> {
        let len = self.keys.open(header, payload, plain)?;
        self.keyless_since = None;
        Some(len)
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A data packet came that there is no room for.
    pub const fn on_no_room(&mut self, payload_len: usize) {
        self.counters.received_packets += 1;
        self.counters.received_bytes += payload_len as u64;
    }

    /// A data packet came that cannot be decrypted. Its number stays missing, and is asked for again; true where that is of no use
    /// any more, because there was no key for longer than the latency: then it counts as come, so that the peer goes on.
    pub fn on_undecryptable(
        &mut self,
        now: Instant,
        header: &DataHeader,
        payload_len: usize,
        receive: &ReceiveBuffer,
    ) -> bool {
        self.counters.undecryptable_packets += 1;
        self.counters.undecryptable_bytes += payload_len as u64;
        let patience = receive.tsbpd().map_or(KEYLESS_PATIENCE, Tsbpd::latency);
        let since = match self.keys.has_key_for(header) {
            true => None,
            false => Some(*self.keyless_since.get_or_insert(now)),
        };
        let hopeless = since.is_some_and(|since| now.saturating_since(since) > patience);
        if hopeless {
            self.on_data(now, header, payload_len, receive);
        } else {
            self.counters.received_packets += 1;
            self.counters.received_bytes += payload_len as u64;
        }
        hopeless
    }

    /// Something came that we do not know, or that is no packet.
    pub const fn on_ignored(&mut self) {
        self.counters.ignored += 1;
    }

    /// The receive buffer moved on: what it played or gave up is missing no more, and there may be room again.
    pub fn on_played(&mut self, now: Instant, receive: &ReceiveBuffer) {
        let missing = self.gaps.first_missing();
        self.gaps.forget_before(receive.next());
        if self.gaps.first_missing() != missing {
            self.ack.on_change(now);
        }
        self.ack.on_room(now, receive.available(self.gaps.first_missing()), receive.capacity());
    }

    /// An ACK came. Tells up to where the peer has everything, where that is news.
    pub fn on_ack(&mut self, ack: &Ack) -> Option<SeqNumber> {
        if ack.next.is_after(self.sent.next()) {
            self.counters.implausible += 1;
            return None;
        }
        let (told_rtt, room) = match ack.detail {
            AckDetail::Light => (None, None),
            AckDetail::Small { rtt_us, rtt_var_us, available_packets } => {
                (Some((rtt_us, rtt_var_us)), Some(available_packets))
            }
            AckDetail::Full {
                rtt_us,
                rtt_var_us,
                available_packets,
                link_capacity_pps,
                receive_rate_bps,
                ..
            } => {
                self.received_bps = receive_rate_bps;
                self.peer_capacity_pps = match self.peer_capacity_pps {
                    0 => link_capacity_pps,
                    known => ((u64::from(known) * 7 + u64::from(link_capacity_pps)) / 8)
                        .try_into()
                        .unwrap_or(u32::MAX),
                };
                (Some((rtt_us, rtt_var_us)), Some(available_packets))
            }
            #[expect(unreachable_patterns, reason = "lengths between these may get a name of their own")]
            _ => (None, None),
        };
        if let Some((rtt, variance)) = told_rtt {
            self.rtt.told_by_peer(rtt, variance);
        }
        if ack.number != 0 && self.ackacks.len() < REPLIES_MAX {
            self.ackacks.push_back(ack.number);
        }
        if let Some(room) = room
            && !ack.next.is_before(self.acknowledged)
        {
            // Told from where the peer stands; what was given up since takes no room there.
            self.window = room.min(WINDOW_MAX);
        }
        if ack.next.is_after(self.acknowledged) {
            self.acknowledged = ack.next;
        }
        if !ack.next.is_after(self.sent.first()) {
            return None;
        }
        self.counters.acks_received += u64::from(room.is_some());
        self.probe_wait = TAIL_MARGIN;
        if room.is_none() {
            let newly = u32::try_from(ack.next.distance_from(self.sent.first())).unwrap_or_default();
            self.window = self.window.saturating_sub(newly);
        }
        self.release(ack.next);
        Some(ack.next)
    }

    /// A NAK came: notes what to send again, and what to tell the peer to wait for no more.
    pub fn on_nak(&mut self, now: Instant, report: &LossReport<'_>, send: &SendBuffer) {
        self.read_nak(report, |link, fact| match fact {
            Reported::Lost(seq) => link.on_reported(now, seq, send),
            Reported::Gone(first, last) => link.request_drop(MsgNumber::CONTROL, first, last),
        });
    }

    /// A NAK came on a link that has others beside it. Tells `lost` which packets that this link carried the peer misses, and
    /// `foreign` which it did not carry, or has done with.
    pub fn on_shared_nak(
        &mut self,
        now: Instant,
        report: &LossReport<'_>,
        mut lost: impl FnMut(SeqNumber),
        mut foreign: impl FnMut(SeqNumber, SeqNumber),
    ) {
        self.read_nak(report, |link, fact| match fact {
            Reported::Gone(first, last) => foreign(first, last),
            Reported::Lost(seq) => match link.sent.age(now, seq) {
                None => foreign(seq, seq),
                // A report cannot know of a resend that left less than a round trip ago.
                Some(age) if link.sent.times(seq) > 1 && age < link.rtt.fresh() => {}
                Some(_) => {
                    link.counters.reported_lost_packets += 1;
                    lost(seq);
                }
            },
        });
    }

    /// When `seq` left here, where it left once and is not acknowledged.
    #[must_use]
    pub fn left_once(&self, seq: SeqNumber) -> Option<Instant> {
        self.sent.left_at(seq).filter(|_| self.sent.times(seq) == 1)
    }

    fn read_nak(&mut self, report: &LossReport<'_>, mut tell: impl FnMut(&mut Self, Reported)) {
        self.counters.naks_received += 1;
        let oldest = self.sent.first();
        let held = self.sent.next().distance_from(oldest);
        let mut left = held; // an honest report names each number once
        let requests_most = (self.drop_requests.len() + DROP_REQUESTS_A_REPORT).min(REPLIES_MAX);
        let mut gone_ranges = DROP_REQUESTS_A_REPORT;
        for (first, last) in report.iter() {
            // All distances are from the oldest packet held: hostile numbers lie anywhere on the circle.
            let (first, last) = (first.distance_from(oldest), last.distance_from(oldest));
            if last >= held || last < first {
                self.counters.implausible += 1;
                continue;
            }
            if first < 0 {
                let from = first.max(-DROP_REQUEST_BACK_MAX).unsigned_abs();
                let gone = last.min(-1).unsigned_abs();
                if gone <= from && self.drop_requests.len() < requests_most && gone_ranges > 0 {
                    gone_ranges -= 1;
                    tell(self, Reported::Gone(oldest - from, oldest - gone));
                }
            }
            let first = first.max(0);
            let last = last.min(first.saturating_add(left - 1));
            left -= (last + 1 - first).max(0);
            for offset in first..=last {
                tell(self, Reported::Lost(oldest + offset.unsigned_abs()));
            }
        }
    }

    /// The peer reports `seq`, which is not acknowledged, as lost.
    fn on_reported(&mut self, now: Instant, seq: SeqNumber, send: &SendBuffer) {
        let Some(age) = self.sent.age(now, seq) else {
            let msgno = send.packet(seq).map_or(MsgNumber::CONTROL, |(packet, _)| packet.msgno);
            self.request_drop(msgno, seq, seq);
            return;
        };
        // A report cannot know of a resend that left less than a round trip ago.
        let answered = self.sent.times(seq) > 1 && age < self.rtt.fresh();
        if !(self.resend.contains(seq) || self.skip_fresh_resends && answered) {
            self.counters.reported_lost_packets += 1;
            self.resend.add(seq, seq);
        }
    }

    /// An ACKACK came. Tells the clock drift to take into account, in µs, where that changed.
    pub fn on_ackack(
        &mut self,
        now: Instant,
        number: u32,
        timestamp: Timestamp,
        receive: &ReceiveBuffer,
    ) -> Option<i64> {
        let rtt = self.ack.on_ackack(now, number)?;
        self.rtt.sample(rtt);
        self.gaps.on_round_trip(&self.rtt);
        let tsbpd = receive.tsbpd()?;
        let drift = self.drift.as_mut()?;
        let first = self.rtt.first().unwrap_or(rtt);
        let detour = (rtt.as_micros().cast_signed() - first.as_micros().cast_signed()) / 2;
        drift.sample(now, tsbpd.offset(now, tsbpd.unwrap(timestamp)) - detour)
    }

    /// A DROPREQ came: this link will not bring `first..=last`. False where that lies too far ahead to be true.
    pub fn on_drop_request(
        &mut self,
        now: Instant,
        first: SeqNumber,
        last: SeqNumber,
        receive: &ReceiveBuffer,
    ) -> bool {
        self.gaps.forget_before(receive.next());
        let ahead = last.distance_from(self.gaps.position());
        if usize::try_from(ahead).is_ok_and(|ahead| ahead > receive.capacity() * 4) {
            self.counters.implausible += 1;
            return false;
        }
        self.gaps.give_up(first, last);
        self.ack.on_change(now);
        true
    }

    /// The stream gave up everything before `next`: nothing of it is sent any more.
    pub fn on_given_up(&mut self, next: SeqNumber) {
        if next.is_after(self.sent.first()) {
            self.sent.pass_over(next.prev());
            self.release(next);
        }
    }

    /// `seq` is not sent at all: its time to live was over. The peer is told.
    pub fn on_expired(&mut self, seq: SeqNumber, msgno: MsgNumber) {
        self.sent.pass_over(seq);
        self.request_drop(msgno, seq, seq);
    }

    // ---- what leaves -------------------------------------------------------------------------------------------

    /// Appends the next control packet that is due at `now`; false where there is none.
    pub fn poll_control(&mut self, now: Instant, receive: &ReceiveBuffer, out: &mut Vec<u8>) -> bool {
        if let Some(message) = self.keys.poll(now, &self.rtt) {
            let (subtype, content) = (message.subtype, &message.content[..]);
            self.write(now, Control::UserDefined { subtype, info: 0, content }, out);
            return true;
        }
        if let Some(number) = self.ackacks.pop_front() {
            self.spoke_at = now;
            let elapsed = now.saturating_since(self.parameters.epoch).as_micros();
            let shifted = elapsed.saturating_add_signed(self.ackack_shift);
            let timestamp = Timestamp::from_elapsed(Micros::from_micros(shifted));
            let destination = self.parameters.peer_id;
            ControlPacket { timestamp, destination, control: Control::AckAck { number } }.write(out);
            return true;
        }
        if let Some(request) = self.drop_requests.pop_front() {
            self.write(now, Control::DropRequest(request), out);
            return true;
        }
        if self.ack.next().is_some() {
            self.gaps.expire(now);
            let next = self.gaps.first_missing();
            if let Some(due) = self.ack.due(now, next, &self.rtt) {
                self.write_ack(now, due, next, receive, out);
                return true;
            }
        }
        if self.gaps.next_report().is_some_and(|at| at <= now) {
            self.gaps.expire(now);
            let most = (self.parameters.mss as usize).saturating_sub(UDP_IP_OVERHEAD + HEADER_SIZE) / 8;
            let mut ranges = std::mem::take(&mut self.nak_ranges);
            self.gaps.due(now, &self.rtt, self.nak_report, most.max(1), &mut ranges);
            let any = !ranges.is_empty();
            if any {
                self.counters.naks_sent += 1;
                self.write(now, Control::Nak(LossReport::Ranges(&ranges)), out);
            }
            self.nak_ranges = ranges;
            return any;
        }
        if !self.silent && now.saturating_since(self.spoke_at) >= KEEPALIVE_PERIOD {
            self.write(now, Control::Keepalive, out);
            return true;
        }
        false
    }

    /// Appends a control packet to the peer.
    pub fn write(&mut self, now: Instant, control: Control<'_>, out: &mut Vec<u8>) {
        self.spoke_at = now;
        let timestamp = self.timestamp(now);
        ControlPacket { timestamp, destination: self.parameters.peer_id, control }.write(out);
    }

    /// The packet to send again next, where one may leave now.
    pub fn peek_resend(&mut self, now: Instant, send: &SendBuffer) -> Option<SeqNumber> {
        if self.resend.is_empty() || !self.resend_pacing.ready(now) {
            return None;
        }
        let worth = self.worth();
        self.resend.peek(now, send, &self.sent, &self.rtt, worth)
    }

    /// True where pacing lets a packet go now.
    pub fn may_send(&mut self, now: Instant) -> bool {
        self.pacing.ready(now)
    }

    /// Packets the peer's window still takes.
    #[must_use]
    pub fn window_left(&self) -> usize {
        (self.window as usize).saturating_sub(self.sent.len())
    }

    /// When one packet may leave although the peer's window is shut and nothing is under way: that it opened may have been said
    /// in an ACK that was lost, and libsrt does not say it twice.
    #[must_use]
    pub fn may_knock_at(&self) -> Option<Instant> {
        (self.window == 0 && self.sent.len() == 0)
            .then(|| (self.sent.carried_at() + self.tail_wait()).max(self.probe_from))
    }

    fn back_off(&mut self, now: Instant) {
        let least = self.tail_wait(); // longer than the longest where the peer tells a long round trip
        self.probe_wait = (self.probe_wait * 2).clamp(least, PROBE_WAIT_MAX.max(least));
        self.probe_from = now + self.probe_wait;
    }

    /// Whether a packet may be sent for the first time, as far as keys go.
    pub fn may_carry_new(&mut self, now: Instant) -> bool {
        self.keys.may_carry(now, self.counters.received_packets == 0)
    }

    /// Bytes that encryption adds to a payload.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.keys.tag_len()
    }

    /// Appends the packet `seq` of the stream: for the first time, or again where this link carried it before; then it is the same
    /// to the bit, but for the R flag.
    ///
    /// False, and nothing written, where the stream does not hold it.
    pub fn write_data(&mut self, now: Instant, seq: SeqNumber, send: &SendBuffer, out: &mut Vec<u8>) -> bool {
        let Some((packet, payload)) = send.packet(seq) else { return false };
        let again = self.sent.times(seq) > 0;
        // What another link has carried, and fills a hole here, does not come late: it comes again.
        let flagged = again || !seq.is_after(self.sent.next().prev()) && self.shared;
        let header = DataHeader {
            seq,
            boundary: packet.boundary,
            in_order: packet.in_order,
            key: if again { self.keys.key_of(seq) } else { self.keys.on_new(seq, self.sent.first()) },
            retransmitted: flagged,
            msgno: packet.msgno,
            timestamp: packet.timestamp,
            destination: self.parameters.peer_id,
        };
        if !self.keys.seal(&header, payload, out) {
            return false;
        }
        let wire_size = payload.len() + self.keys.tag_len() + HEADER_SIZE + UDP_IP_OVERHEAD;
        self.pacing.spend(wire_size);
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += payload.len() as u64;
        if again {
            self.counters.retransmitted_packets += 1;
            self.counters.retransmitted_bytes += payload.len() as u64;
            self.resend_pacing.spend(wire_size);
            let worth = self.worth();
            self.resend.take(now, seq, send, &self.sent, &self.rtt, worth);
        } else {
            self.resend.earn(payload.len(), self.overhead_percent);
        }
        self.sent.record(now, seq);
        self.spoke_at = now;
        true
    }

    /// Sends again, unasked, what the peer cannot or will not ask for: the last packet, where it was not acknowledged for long
    /// enough; and, where the peer does not repeat its reports, the first one. `next_new` is the first number not yet sent.
    pub fn probe_tail(&mut self, now: Instant, next_new: SeqNumber) {
        if let Some((at, seq)) = self.probe(next_new)
            && at <= now
        {
            self.back_off(now);
            match seq {
                Some(seq) => {
                    self.resend.add(seq, seq);
                    self.counters.tail_probes += 1;
                }
                None => {
                    if let Some((first, last)) = self.sent.passed_over() {
                        self.request_drop(MsgNumber::CONTROL, first, last);
                    }
                }
            }
        }
    }

    // ---- when --------------------------------------------------------------------------------------------------

    /// The earliest of this link's own deadlines; `next_new` is the first number not yet sent.
    #[must_use]
    pub fn next_timeout(&self, next_new: SeqNumber) -> Option<Deadline> {
        let first = if self.ackacks.is_empty() && self.drop_requests.is_empty() {
            None
        } else {
            Some(Deadline::new(Instant::default(), Timer::Transmit))
        };
        let all = [
            self.ack.next().map(|at| Deadline::new(at, Timer::Ack)),
            self.gaps.next_report().map(|at| Deadline::new(at, Timer::Nak)),
            (!self.silent).then(|| Deadline::new(self.spoke_at + KEEPALIVE_PERIOD, Timer::Keepalive)),
            Some(Deadline::new(self.idle_at(), Timer::PeerIdle)),
            self.probe(next_new).map(|(at, _)| Deadline::new(at, Timer::TailProbe)),
            self.resend_at(),
            self.keys.next_timeout().map(|at| Deadline::new(at, Timer::KeyMaterial)),
        ];
        all.into_iter().fold(first, Deadline::earlier)
    }

    /// When the next paced packet may leave: in the past where it may at once.
    #[must_use]
    pub fn paced_at(&self) -> Instant {
        self.pacing.ready_at().unwrap_or_default()
    }

    /// True where no data has come or gone for a while.
    #[must_use]
    pub fn rests(&self, now: Instant) -> bool {
        let last = self.ack.data_at().max(self.sent.carried_at());
        now.saturating_since(last) >= KEEPALIVE_PERIOD
    }

    /// True where the peer was not heard for PEERIDLETIMEO.
    #[must_use]
    pub fn is_idle(&self, now: Instant) -> bool {
        now >= self.idle_at()
    }

    // ---- what it knows -----------------------------------------------------------------------------------------

    /// What the handshake agreed.
    #[must_use]
    pub const fn parameters(&self) -> &LinkParameters {
        &self.parameters
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// The round trip.
    #[must_use]
    pub const fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// The first number the peer has not acknowledged on this link.
    #[must_use]
    pub const fn first_unacknowledged(&self) -> SeqNumber {
        self.sent.first()
    }

    /// Packets sent and not acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// Packets reported lost that wait to be sent again.
    #[must_use]
    pub const fn to_resend(&self) -> usize {
        self.resend.len()
    }

    /// The peer's window, in packets.
    #[must_use]
    pub const fn window(&self) -> u32 {
        self.window
    }

    /// The rate set, in bytes per second.
    #[must_use]
    pub const fn rate(&self) -> Option<u64> {
        self.pacing.rate()
    }

    /// The first number this link has not brought and is still hoped for.
    #[must_use]
    pub fn first_missing(&self) -> SeqNumber {
        self.gaps.first_missing()
    }

    /// Packets missing now.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.gaps.missing()
    }

    /// The reorder window learned from late packets.
    #[must_use]
    pub fn reorder_window(&self) -> Micros {
        self.gaps.window()
    }

    /// The reorder tolerance in packets, as LOSSMAXTTL lets it grow.
    #[must_use]
    pub const fn reorder_tolerance(&self) -> u32 {
        self.gaps.tolerance()
    }

    /// Packets and bytes that come per second.
    #[must_use]
    pub fn receive_rate(&self, now: Instant) -> (u32, u32) {
        self.rate.get(now)
    }

    /// Bytes per second that come at the peer on this link, as it measured last; 0 where it has not.
    #[must_use]
    pub const fn peer_receives_bps(&self) -> u32 {
        self.received_bps
    }

    /// When something was heard of the peer last.
    #[must_use]
    pub const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// When something was said to the peer last.
    #[must_use]
    pub const fn spoke_at(&self) -> Instant {
        self.spoke_at
    }

    /// How often this link carried `seq`, as far as it is not acknowledged.
    #[must_use]
    pub fn carried(&self, seq: SeqNumber) -> u8 {
        self.sent.times(seq)
    }

    /// The number after the highest this link carried, or was told to pass over.
    #[must_use]
    pub fn carried_up_to(&self) -> SeqNumber {
        self.sent.next()
    }

    /// The highest number that came on this link, and after it; the next one expected.
    #[must_use]
    pub const fn brought_up_to(&self) -> SeqNumber {
        self.gaps.next()
    }

    /// Packets asked for, each counted once.
    #[must_use]
    pub const fn asked_packets(&self) -> u64 {
        self.gaps.asked()
    }

    /// The link's capacity towards the peer in packets per second, as the peer estimates it; or towards us.
    #[must_use]
    pub fn capacity_pps(&self) -> u32 {
        if self.peer_capacity_pps > 0 { self.peer_capacity_pps } else { self.capacity.pps() }
    }

    // ---- helpers -----------------------------------------------------------------------------------------------

    fn timestamp(&self, now: Instant) -> Timestamp {
        Timestamp::from_elapsed(now.saturating_since(self.parameters.epoch))
    }

    fn idle_at(&self) -> Instant {
        self.heard_at + self.idle_timeout
    }

    /// What to send again unasked, and when: a packet, or else that what was passed over will not come.
    fn probe(&self, next_new: SeqNumber) -> Option<(Instant, Option<SeqNumber>)> {
        if self.silent {
            return None;
        }
        let overdue = |seq| {
            let left_at = self.sent.left_at(seq).filter(|_| !self.resend.contains(seq))?;
            Some(((left_at + self.tail_wait()).max(self.probe_from), Some(seq)))
        };
        let tail = if next_new.is_after(self.sent.next()) {
            None
        } else {
            self.sent.last_carried().and_then(overdue)
        };
        let head = if self.parameters.peer_repeats_nak { None } else { overdue(self.sent.first()) };
        // Where the link was told to pass over the oldest numbers, the peer may not know of it.
        let gone = (self.sent.len() > 0 && self.sent.times(self.sent.first()) == 0)
            .then(|| ((self.sent.carried_at() + self.tail_wait()).max(self.probe_from), None));
        [head, tail, gone].into_iter().flatten().min_by_key(|probe| probe.0)
    }

    /// How long an ACK of the tail may take: a peer like us acknowledges a slow stream less often.
    fn tail_wait(&self) -> Micros {
        self.rtt.overdue() + TAIL_MARGIN + (self.sent.gap() * 2).min(TAIL_MARGIN_MORE)
    }

    fn worth(&self) -> Worth {
        Worth { latency: self.parameters.peer_latency.filter(|_| self.parameters.peer_drops_too_late) }
    }

    fn resend_at(&self) -> Option<Deadline> {
        let paced = self.paced_at().max(self.resend_pacing.ready_at().unwrap_or_default());
        if self.resend.waiting() {
            return Some(Deadline::new(paced, Timer::Pacing));
        }
        self.resend.next_copy().map(|at| Deadline::new(at.max(paced), Timer::SecondCopy))
    }

    fn release(&mut self, next: SeqNumber) {
        self.sent.release(next);
        self.resend.release(next);
    }

    fn request_drop(&mut self, msgno: MsgNumber, first: SeqNumber, last: SeqNumber) {
        let told = |request: &DropRequest| !first.is_before(request.first) && !last.is_after(request.last);
        if self.drop_requests.iter().any(told) {
            return;
        }
        if let Some(previous) = self.drop_requests.back_mut()
            && previous.last.next() == first
            && (previous.msgno == msgno || msgno == MsgNumber::CONTROL)
        {
            previous.last = last;
        } else if self.drop_requests.len() < REPLIES_MAX {
            self.drop_requests.push_back(DropRequest { msgno, first, last });
        }
    }

    fn write_ack(
        &mut self,
        now: Instant,
        due: AckDue,
        next: SeqNumber,
        receive: &ReceiveBuffer,
        out: &mut Vec<u8>,
    ) {
        let ack = match due {
            AckDue::Light => Ack { number: 0, next, detail: AckDetail::Light },
            AckDue::Full => {
                self.counters.acks_sent += 1;
                let room = receive.available(next);
                let number = self.ack.on_full(now, next, room);
                let (receive_rate_pps, receive_rate_bps) = self.rate.get(now);
                let detail = AckDetail::Full {
                    rtt_us: micros32(self.rtt.smoothed()),
                    rtt_var_us: micros32(self.rtt.variance()),
                    available_packets: u32::try_from(room).unwrap_or(u32::MAX).max(2),
                    receive_rate_pps,
                    link_capacity_pps: self.capacity.pps(),
                    receive_rate_bps,
                };
                Ack { number, next, detail }
            }
        };
        self.write(now, Control::Ack(ack), out);
    }
}

fn micros32(span: Micros) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
