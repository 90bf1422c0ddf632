//! One link of a group: waiting for another try, being called, or up.

use std::net::{IpAddr, SocketAddr};

use srt_protocol::{
    config::Config,
    handshake::{Caller, RejectReason},
    link::{Link, LinkCounters, TokenBucket},
    packet::{HEADER_SIZE, UDP_IP_OVERHEAD},
    stream::SeqRanges,
    time::{Instant, Micros},
    types::{SeqNumber, SocketId},
};

use crate::{
    LinkId, LinkReport, LinkState, capacity::Capacity, clock::Delay, event::Down, heal::Heal, health::Health,
    ledger::Slot, mask::Mask, transit::Transit,
};

/// Headers of a data packet on the wire.
const HEADERS: usize = HEADER_SIZE + UDP_IP_OVERHEAD;

/// A link of the group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: LinkId,
    pub(crate) slot: Slot,
    pub(crate) weight: u16,
    /// Options that are this link's own.
    pub(crate) config: Option<Box<Config>>,
    /// It is one that we call, and call again.
    pub(crate) ours: bool,
    pub(crate) peer: SocketAddr,
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) socket: SocketId,
    pub(crate) phase: Phase,
    pub(crate) heal: Heal,
    pub(crate) down: Option<Down>,
    pub(crate) ups: u32,
    /// What it counted before it came up last.
    pub(crate) past: LinkCounters,
    pub(crate) first_copies: u64,
}

/// Each phase owns what exists only then.
#[derive(Debug)]
pub(crate) enum Phase {
    /// To be tried again then; `None` where it is not wanted now.
    Down(Option<Instant>),
    /// Its owner was asked to call.
    Wanted,
    Calling(Box<Caller>),
    /// The listener believes in a link that we do not want; it is to be told.
    Declining(SocketId, RejectReason),
    Up(Box<Up>),
}

/// A link that is up.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) link: Link,
    /// It carries every new packet.
    pub(crate) carrying: bool,
    /// Since when.
    pub(crate) since: Instant,
    /// It has come back, and is tried before it is trusted: since when.
    pub(crate) probation: Option<Instant>,
    /// The next new packet that it carries.
    pub(crate) cursor: SeqNumber,
    /// What it is to carry of older ones, nearest deadline first.
    pub(crate) again: SeqRanges,
    /// So that what was missed for long does not leave as one burst.
    pub(crate) again_pacing: TokenBucket,
    pub(crate) mask: Mask,
    pub(crate) health: Health,
    pub(crate) capacity: Capacity,
    /// What left on it for the first time and is not known to have come, where the peer tells.
    pub(crate) transit: Transit,
    /// It has fallen silent: what it was taken to carry before.
    pub(crate) dark: Option<u64>,
    /// What left before this was sent into the dark, and says nothing of what the link carries.
    pub(crate) forgiven: Instant,
    /// The capacity is what paces it.
    pub(crate) limited: bool,
    pub(crate) delay: Delay,
    /// Where the drift of the group stood when it came up, and what its own tracer says since.
    pub(crate) drift: (i64, i64),
    /// When a packet left last.
    pub(crate) sent_at: Instant,
    /// SHUTDOWNs still to be sent, where it is being ended.
    pub(crate) goodbyes: Option<u8>,
    /// When the peer is to be told what has come of the stream, and when it was last.
    pub(crate) report_at: Option<Instant>,
    pub(crate) reported_at: Instant,
    /// Full ACKs seen since it came up, and since its probation began.
    pub(crate) acks: u64,
    pub(crate) answers: u64,
    /// The newest packet whose arrival the peer answered by telling of the gap before it.
    pub(crate) answered: Option<SeqNumber>,
    /// By how much the stamps of ACKACKs are shifted, in µs, once that is known.
    pub(crate) shift: Option<i64>,
    /// ACKACKs that went with an unshifted stamp and are still to be made up for.
    pub(crate) uncompensated: u32,
}

impl Member {
    pub(crate) const fn up(&self) -> Option<&Up> {
        match &self.phase {
            Phase::Up(up) => Some(up),
            _ => None,
        }
    }

    pub(crate) const fn up_mut(&mut self) -> Option<&mut Up> {
        match &mut self.phase {
            Phase::Up(up) => Some(up),
            _ => None,
        }
    }

    /// Up and not being ended.
    pub(crate) fn live(&self) -> Option<&Up> {
        self.up().filter(|up| up.goodbyes.is_none())
    }

    /// What can be told of it.
    pub(crate) fn report(&self, mode_limits: bool) -> LinkReport {
        let up = self.up();
        let mut counters = self.past;
        if let Some(up) = up {
            counters.add(up.link.counters());
        }
        let unstable = up.and_then(|up| up.health.unstable());
        let state = match &self.phase {
            Phase::Down(_) => LinkState::Down,
            Phase::Wanted | Phase::Calling(_) | Phase::Declining(..) => LinkState::Connecting,
            Phase::Up(_) if unstable.is_some() => LinkState::Unstable,
            Phase::Up(up) if up.probation.is_some() => LinkState::Probation,
            Phase::Up(up) if up.carrying || up.limited => LinkState::Active,
            Phase::Up(_) => LinkState::Idle,
        };
        let limits = |up: &&Up| mode_limits || up.limited;
        LinkReport {
            id: self.id,
            peer: self.peer,
            socket: if up.is_some() { self.socket } else { SocketId::HANDSHAKE },
            state,
            unstable,
            down: self.down.filter(|_| up.is_none()),
            weight: self.weight,
            rtt: up.map_or(Micros::ZERO, |up| up.link.rtt().smoothed()),
            queueing: up.map_or(Micros::ZERO, |up| up.capacity.queueing()),
            loss_percent: up.map_or(0, |up| up.health.loss_percent()),
            rate: up.filter(limits).map(|up| up.capacity.rate()),
            safe_rate: up.filter(limits).map(|up| up.capacity.safe_rate()),
            capacity: up.map_or(crate::capacity::State::Starting, |up| up.capacity.state()),
            delivered_bps: up.map_or(0, |up| u64::from(up.link.peer_receives_bps())),
            in_flight: up.map_or(0, |up| up.link.in_flight()),
            ups: self.ups,
            counters,
            first_copies: self.first_copies,
        }
    }
}

impl Up {
    /// When a packet of `len` bytes that is given to it now would be delivered.
    pub(crate) fn delivers_at(&self, now: Instant, len: usize) -> Instant {
        let ready = self.link.paced_at().max(now);
        let size = len + HEADERS;
        let waiting = self.again.len() * size + size;
        let rate = if self.limited { Some(self.capacity.rate()) } else { self.link.rate() };
        let serving = rate.map_or(Micros::ZERO, |rate| {
            Micros::from_micros((waiting as u64).saturating_mul(1_000_000) / rate.max(1))
        });
        let way = if self.limited && !self.capacity.base_delay().is_zero() {
            // What has not come though it should have waits in a queue that no round trip has told of yet.
            // Who is about to find out what the link carries makes that queue himself.
            let lag = match self.capacity.state() {
                crate::capacity::State::Starting => Micros::ZERO,
                _ => self.transit.lag(now, self.capacity.base_delay() * 2),
            };
            self.capacity.base_delay() + self.capacity.queueing_now(now).max(lag)
        } else {
            self.one_way()
        };
        ready + serving + way
    }

    /// Something was heard: where that was not so for long, what it carries is found out anew, from what was known before.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.health.on_heard();
        self.link.on_heard(now);
        if let Some(rate) = self.dark.take() {
            self.forgiven = now;
            self.transit = Transit::default();
            self.capacity = self.capacity.resumed(now, rate);
            self.capacity.on_round_trip(now, self.link.rtt().smoothed());
            if self.limited {
                self.link.set_rate(now, Some(self.capacity.rate()));
            }
        }
    }

    /// What the capacity allows is what paces it.
    pub(crate) fn follow_capacity(&mut self, now: Instant) {
        let rate = self.capacity.rate();
        if self.limited && self.link.rate() != Some(rate) {
            self.link.set_rate(now, Some(rate));
        }
    }

    /// Something waits to leave here that lies below what was carried: it must not be called foreign.
    pub(crate) fn waits_below(&self) -> bool {
        self.again.first().is_some_and(|first| !self.mask.in_place(first))
    }

    /// How long a packet is under way.
    pub(crate) fn one_way(&self) -> Micros {
        self.link.rtt().smoothed() / 2
    }

    /// What was sent on it is not answered.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.health.is_silent(now, self.link.rtt())
    }

    /// It may be trusted with a packet that no other link carries.
    pub(crate) fn is_trusted(&self) -> bool {
        self.goodbyes.is_none() && self.health.unstable().is_none() && self.probation.is_none()
    }
}
