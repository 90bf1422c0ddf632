//! How links come and go.

use std::{net::SocketAddr, sync::Arc};

use srt_protocol::{
    config::Config,
    congestion::LiveRate,
    connection::{ConnectionError, Negotiated},
    ending::GOODBYES,
    endpoint::{AcceptedLink, Incoming},
    handshake::{Agreed, Call, Caller, RejectReason},
    link::{Link, LinkCounters, TokenBucket},
    packet::GroupInfo,
    stats::Averages,
    stream::SeqRanges,
    time::{Instant, Micros},
    types::{SocketId, Timestamp},
};

use super::{End, Group, Input, LinkSetup, Role, Stream};
use crate::{
    Event, LINKS_MAX, LinkId, Mode,
    capacity::Capacity,
    clock::{Delay, Drift},
    event::Down,
    heal::{Heal, STAGGER},
    health::Health,
    ledger::{Ledger, Slot},
    mask::Mask,
    member::{Member, Phase, Up},
    recovery::Recovery,
    transit::Transit,
};

/// What a link is taken to carry before it has shown it, in bytes per second: 2 Mb/s.
const RATE_FIRST: u64 = 250_000;

/// Time between full ACKs of a link whose peer is told by reports what came.
const ACK_PERIOD: Micros = Micros::from_millis(20);

impl Group {
    /// Adds a link to be called, with options of its own where they are given; `None` where there are as many as can be.
    ///
    /// Of several links the one of the highest weight is preferred (backup), or their shares are like their weights
    /// (balancing, where none is 0).
    pub fn add_link(&mut self, now: Instant, weight: u16, config: Option<Config>) -> Option<LinkId> {
        if self.is_mirror() || self.end != End::NotYet || self.closed.is_some() {
            return None;
        }
        let slot = self.free_slot()?;
        let id = self.next_id();
        let first_try = match &self.stream {
            Some(_) if self.peer.is_some_and(|peer| !peer.groups) => None,
            Some(_) => Some(now),
            None => Some(now + STAGGER * self.members.len() as u64),
        };
        self.members.push(Member {
            id,
            slot,
            weight,
            config: config.map(Box::new),
            ours: true,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            local_ip: None,
            socket: SocketId::HANDSHAKE,
            phase: Phase::Down(first_try),
            heal: Heal::new(),
            down: None,
            ups: 0,
            past: LinkCounters::default(),
            first_copies: 0,
        });
        self.steer(now);
        Some(id)
    }

    /// Calls a link that was [wanted](Event::Wanted); false where it is wanted no more.
    pub fn call(&mut self, now: Instant, id: LinkId, setup: LinkSetup) -> bool {
        let isn = self.stream.as_ref().map(|stream| stream.send.next());
        let (epoch, mode, group_id) = (self.epoch, self.mode, self.id);
        let Role::Caller { isn: first, entropy } = &self.role else { return false };
        let (isn, entropy) = (isn.unwrap_or(*first), Arc::clone(entropy));
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else { return false };
        if !matches!(member.phase, Phase::Wanted) {
            return false;
        }
        let group = Some(GroupInfo {
            id: group_id,
            group_type: mode.group_type(),
            flags: GroupInfo::FLAG_MERGES | if mode == Mode::Balancing { GroupInfo::FLAG_SHARES } else { 0 },
            weight: member.weight,
        });
        let LinkSetup { socket, peer, local_ip } = setup;
        (member.peer, member.local_ip, member.socket) = (peer, local_ip, socket);
        let call = Call { id: socket, isn, peer, local_ip, epoch, group, entropy };
        member.phase = Phase::Calling(Box::new(Caller::new(now, call)));
        true
    }

    /// A link that was wanted could not be opened here.
    pub fn call_failed(&mut self, now: Instant, id: LinkId) {
        if let Some(index) = self.members.iter().position(|member| member.id == id)
            && matches!(self.members[index].phase, Phase::Wanted)
        {
            self.link_down(now, index, Down::Local);
        }
    }

    /// Takes a link out: the peer is told, and it is not called again.
    pub fn remove_link(&mut self, now: Instant, id: LinkId) {
        let Some(index) = self.members.iter().position(|member| member.id == id) else { return };
        self.members[index].ours = false;
        match self.members[index].up_mut() {
            Some(up) if up.goodbyes.is_none() => {
                up.goodbyes = Some(GOODBYES);
                self.hand_on(now, index);
                self.steer(now);
            }
            Some(_) => {}
            None => self.link_down(now, index, Down::Removed),
        }
    }

    /// Whether a caller may join this group: it is the one this group mirrors, as far as that can be told.
    ///
    /// # Errors
    /// The reason to refuse it for.
    pub fn may_join(&self, incoming: &Incoming) -> Result<(), RejectReason> {
        let (Some(theirs), Some(peer)) = (incoming.group, self.peer) else { return Err(RejectReason::Group) };
        let Role::Listener { stream_id, encrypted } = &self.role else { return Err(RejectReason::Group) };
        let same = theirs.id == peer.id
            && theirs.group_type == self.mode.group_type()
            && *stream_id == incoming.stream_id
            && *encrypted == incoming.encrypted;
        if !same || self.end != End::NotYet || self.closed.is_some() {
            return Err(RejectReason::Group);
        }
        if self.free_slot().is_none() {
            return Err(RejectReason::Resource);
        }
        Ok(())
    }

    /// A caller was accepted as a link of this group.
    pub fn join(&mut self, now: Instant, accepted: AcceptedLink) -> Option<LinkId> {
        let slot = self.free_slot()?;
        let id = self.next_id();
        let AcceptedLink { agreed, arrival, timestamp, .. } = accepted;
        let parameters = &agreed.link;
        self.members.push(Member {
            id,
            slot,
            weight: agreed.group.map_or(0, |group| group.weight),
            config: None,
            ours: false,
            peer: parameters.peer,
            local_ip: parameters.local_ip,
            socket: parameters.local_id,
            phase: Phase::Wanted,
            heal: Heal::new(),
            down: None,
            ups: 0,
            past: LinkCounters::default(),
            first_copies: 0,
        });
        self.link_up(now, self.members.len() - 1, agreed, arrival, timestamp);
        Some(id)
    }

    pub(super) fn next_id(&mut self) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        id
    }

    pub(super) fn free_slot(&self) -> Option<Slot> {
        (0..LINKS_MAX)
            .filter_map(|slot| u8::try_from(slot).ok())
            .map(Slot)
            .find(|slot| self.members.iter().all(|member| member.slot != *slot))
    }

    /// A handshake is done.
    pub(super) fn link_up(
        &mut self,
        now: Instant,
        index: usize,
        agreed: Agreed,
        arrival: Instant,
        timestamp: Timestamp,
    ) {
        let Agreed { negotiated, link: parameters, keys, .. } = agreed;
        let first = self.stream.is_none();
        if first {
            self.start_stream(now, &negotiated, arrival, timestamp);
        }
        let others = self.members.iter().any(|member| member.live().is_some());
        let (masks, shares, config, epoch) = (self.masks(), self.shares(), self.config.clone(), self.epoch);
        let min_timeout = config.group_min_stable_timeout();
        // Where every link carries everything, and reports say what came, ACKs have less to tell.
        let tells_all = self.merges() && !shares && self.peer.is_some_and(|peer| !peer.shares);
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get_mut(index)) else { return };
        let mut parameters = parameters;
        parameters.epoch = epoch;
        if !first {
            // Each direction is numbered by the group that sends, whatever the handshake of a later link said.
            parameters.send_isn = stream.send.first();
        }
        // All links answer for one play clock, that of the first.
        parameters.peer_latency = stream.negotiated.peer_latency;
        let (begins, first_rtt) = (parameters.send_isn, parameters.first_rtt);
        let latency = stream.negotiated.peer_latency.unwrap_or(Micros::from_secs(1));
        let config = member.config.as_deref().unwrap_or(&config);
        let mut link = Link::shared(now, parameters, config, keys);
        // A libsrt whose links are masked takes KEEPALIVEs amiss, and acknowledges by play time.
        link.set_silent(masks);
        if tells_all {
            link.set_ack_period(ACK_PERIOD);
        }
        let rate = RATE_FIRST.max(stream.input.rate / 4);
        let mut capacity = Capacity::new(now, rate);
        if let Some(rtt) = first_rtt {
            capacity.on_round_trip(now, rtt);
        }
        let mut up = Up {
            link,
            carrying: false,
            since: now,
            probation: (shares && others && member.ups > 0).then_some(now),
            cursor: stream.next_new,
            again: SeqRanges::new(),
            again_pacing: TokenBucket::new(now, None),
            mask: Mask::new(now, begins, masks, latency),
            health: Health::new(now, min_timeout, latency, (masks, self.mode == Mode::Balancing)),
            capacity,
            transit: Transit::default(),
            dark: None,
            forgiven: now,
            limited: self.mode == Mode::Balancing,
            delay: Delay::default(),
            drift: (stream.drift.applied(), 0),
            sent_at: now,
            goodbyes: None,
            report_at: None,
            reported_at: now,
            acks: 0,
            answers: 0,
            answered: None,
            shift: None,
            uncompensated: 0,
        };
        if !others {
            // Whatever others carried and nobody acknowledged is this link's now.
            let mut seq = stream.ledger.first();
            while seq.is_before(stream.next_new) {
                if stream.ledger.get(seq).is_none_or(|fate| !fate.done) {
                    up.again.insert(seq, seq);
                }
                seq = seq.next();
            }
        }
        member.phase = Phase::Up(Box::new(up));
        member.heal.on_up(now);
        (member.down, member.ups) = (None, member.ups + 1);
        let id = member.id;
        if first {
            self.events.push(Event::Connected);
        }
        self.events.push(Event::LinkUp(id));
        if self.down_since.take().is_some() && !first {
            self.events.push(Event::Resumed);
        }
        if first && self.peer.is_none_or(|peer| peer.groups) {
            // The peer is known to know groups: the others need not wait.
            for member in &mut self.members {
                if matches!(member.phase, Phase::Down(Some(_)))
                    && member.ups == 0
                    && member.heal.failures == 0
                {
                    member.phase = Phase::Down(Some(now));
                }
            }
        }
        self.set_rates(now);
        self.steer(now);
    }

    pub(super) fn start_stream(
        &mut self,
        now: Instant,
        negotiated: &Negotiated,
        arrival: Instant,
        timestamp: Timestamp,
    ) {
        let (send, receive) = negotiated.buffers(&self.config, self.epoch, (arrival, timestamp));
        self.stream = Some(Box::new(Stream {
            send,
            receive,
            plain: Vec::new(),
            rate: LiveRate::new(&self.config),
            ledger: Ledger::new(negotiated.send_isn),
            recovery: Recovery::default(),
            next_new: negotiated.send_isn,
            last_new_at: Instant::default(),
            last_progress_at: now,
            drift: Drift::default(),
            averages: Averages::new(now),
            busy_since: None,
            busy_us: 0,
            run: None,
            reference_rtt: None,
            input: Input::default(),
            missing: Vec::new(),
            negotiated: negotiated.clone(),
        }));
    }

    /// A link is no more, or did not come to be.
    pub(super) fn link_down(&mut self, now: Instant, index: usize, reason: Down) {
        self.hand_on(now, index);
        let without_groups = self.peer.is_some_and(|peer| !peer.groups);
        let Some(member) = self.members.get_mut(index) else { return };
        let id = member.id;
        let hopeless = matches!(reason, Down::Refused(_) | Down::OtherPeer | Down::OtherClock);
        if let Phase::Up(up) = &member.phase {
            member.past.add(up.link.counters());
        }
        member.down = Some(reason);
        let again = member.heal.on_down(now, hopeless);
        member.phase = Phase::Down(Some(again));
        if let Some(stream) = &mut self.stream {
            // Its place in the ledger may be another's, or its own of another life.
            stream.ledger.on_gone(member.slot, |_| {});
        }
        if !member.ours || self.end == End::Goodbye {
            let member = self.members.remove(index);
            self.past.add(&member.past);
        }
        self.events.push(Event::LinkDown(id, reason));
        if self.stream.is_none()
            && self.closed.is_none()
            && !self.members.is_empty()
            && self.members.iter().all(|member| member.heal.failures > 0)
        {
            // Every link was tried once, and none came to be.
            let why = super::input::never(self.members.first().and_then(|member| member.down));
            self.finish(now, why);
            return;
        }
        if without_groups {
            // The next one takes its place, and this one is the last to be tried again.
            let next = self.members.iter_mut().find(|member| matches!(member.phase, Phase::Down(None)));
            if let Some(next) = next {
                next.phase = Phase::Down(Some(now));
            }
        }
        if self.members.iter().all(|member| member.live().is_none())
            && self.stream.is_some()
            && self.down_since.is_none()
        {
            self.down_since = Some(now);
            self.events.push(Event::AllDown);
            // The peer has ended the group, and not one link of it while others wait to be called again.
            let ended = reason == Down::PeerShutdown
                && self
                    .members
                    .iter()
                    .filter(|member| member.ours)
                    .all(|member| member.ups == 0 || member.down == Some(Down::PeerShutdown));
            if ended || matches!(self.end, End::Closing(_)) && !matches!(self.role, Role::Caller { .. }) {
                self.peer_is_gone(
                    now,
                    if ended { ConnectionError::PeerShutdown } else { ConnectionError::PeerIdle },
                );
            }
        }
        self.steer(now);
    }

    /// What a link carried and nobody acknowledged is given to the others.
    pub(super) fn hand_on(&mut self, now: Instant, index: usize) {
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get(index)) else { return };
        let slot = member.slot;
        let mut orphans = Vec::new();
        for (seq, fate) in stream.ledger.open() {
            if fate.carriers & slot.bit() != 0 && fate.carriers & !slot.bit() == 0 {
                orphans.push(seq);
            }
        }
        if let Some(up) = member.up() {
            orphans.extend(up.again.iter().flat_map(|(first, last)| {
                (0..=last.distance_from(first).unsigned_abs()).map(move |offset| first + offset)
            }));
        }
        for seq in orphans {
            self.send_again(now, seq, Some(slot));
        }
    }
}
