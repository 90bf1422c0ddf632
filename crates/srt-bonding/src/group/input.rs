//! Packet kind → room.

use srt_protocol::{
    connection::ConnectionError,
    handshake::{Agreed, Outcome, RejectReason},
    packet::{
        Ack, AckDetail, Control, ControlPacket, DataPacket, GroupInfo, LossReport, Packet, STREAM_REPORT,
        StreamReport,
    },
    stream::{Insertion, Tsbpd},
    time::{Instant, Micros},
    types::{SeqNumber, SocketId, Timestamp},
};

use super::{Drift, End, Group, Peer};
use crate::{
    Event,
    capacity::Report,
    event::Down,
    ledger::Slot,
    member::{Member, Phase, Up},
};

/// Stamps of a link that differ by more than this from those of the others are of another clock.
const CLOCKS_APART: Micros = Micros::from_secs(30);
/// ACKs after which the round trip of a masked link is known well enough to make up for it.
const COMPENSATE_AFTER: u64 = 15;
/// A peer of ours that shares its packets over the links says by then what a link does not bring.
const SAID_AFTER: Micros = Micros::from_millis(15);
/// Time between two reports of what has come, and from a packet to the next of them.
const REPORT_PERIOD: Micros = Micros::from_millis(25);
const REPORT_AFTER: Micros = Micros::from_millis(5);
/// A NAK may have left so long before the packet came that it misses.
const NAK_LATE: Micros = Micros::from_millis(10);
/// Bytes of a payload, about.
const FULL: usize = 1_316;
/// A link for which so much waits has enough to do.
const BUSY: usize = 8;
/// Where another try would have so little time to spare it is made at once.
const LAST_MARGIN: Micros = Micros::from_millis(100);
/// The round trip and its variance, in µs, that an ACK tells before anything was measured.
const ASSUMED_RTT: (u32, u32) = (100_000, 50_000);

pub(super) fn handle(group: &mut Group, now: Instant, socket: SocketId, datagram: &[u8]) {
    if group.closed.is_some() {
        return;
    }
    let Some(index) = group.members.iter().position(|member| member.socket == socket) else { return };
    let packet = match Packet::parse(datagram) {
        Ok(packet) => packet,
        Err(error) => {
            tracing::trace!(%error, len = datagram.len(), "datagram ignored");
            if let Some(up) = group.members[index].up_mut() {
                up.link.on_ignored();
            }
            return;
        }
    };
    match (&mut group.members[index].phase, packet) {
        (Phase::Up(up), packet) => {
            up.on_heard(now);
            match packet {
                Packet::Data(data) => group.on_data(now, index, &data),
                Packet::Control(control) => group.on_control(now, index, &control),
            }
        }
        (Phase::Calling(_), Packet::Control(ControlPacket { timestamp, control, .. })) => match control {
            Control::Handshake(answer) => {
                let member = &mut group.members[index];
                let config = member.config.as_deref().unwrap_or(&group.config);
                let Phase::Calling(caller) = &mut member.phase else { return };
                match caller.on_handshake(now, config, &answer) {
                    Outcome::Continues => {}
                    Outcome::Established(agreed) => {
                        group.on_answered(now, index, *agreed, answer.socket_id, timestamp);
                    }
                    Outcome::Rejected(reason) => group.link_down(now, index, Down::Refused(reason)),
                    Outcome::Declined(reason) => member.phase = Phase::Declining(answer.socket_id, reason),
                }
            }
            Control::Shutdown => group.link_down(now, index, Down::PeerShutdown),
            _ => {}
        },
        _ => {}
    }
}

impl Group {
    /// A listener took our call.
    fn on_answered(
        &mut self,
        now: Instant,
        index: usize,
        agreed: Agreed,
        peer_socket: SocketId,
        timestamp: Timestamp,
    ) {
        let others = self.members.iter().any(|member| member.live().is_some());
        let decline = |reason| Phase::Declining(peer_socket, reason);
        let Some(theirs) = agreed.group else {
            // Two links would be two streams to it.
            if others || self.peer.is_some_and(|peer| peer.groups && self.stream.is_some()) {
                self.members[index].phase = decline(RejectReason::Group);
                return;
            }
            self.peer = Some(Peer { id: 0, merges: false, shares: false, groups: false });
            self.events.push(Event::PeerWithoutGroups);
            for (other, member) in self.members.iter_mut().enumerate() {
                if other != index {
                    match member.phase {
                        Phase::Down(_) | Phase::Wanted | Phase::Calling(_) => {
                            member.phase = Phase::Down(None)
                        }
                        _ => {}
                    }
                }
            }
            if let Some(stream) = &mut self.stream {
                // To it this is another stream, and so is what it sends.
                let latency = stream.negotiated.receiver_latency;
                let tsbpd = latency.map(|latency| Tsbpd::new(now, timestamp, latency));
                stream.receive.restart(agreed.link.receive_isn, tsbpd);
                stream.drift = Drift::default();
            }
            self.link_up(now, index, agreed, now, timestamp);
            return;
        };
        let known = self.peer.filter(|peer| peer.groups);
        let other_peer = known.is_some_and(|peer| peer.id != theirs.id);
        if other_peer && others {
            self.members[index].phase = decline(RejectReason::Group);
            return;
        }
        let merges = theirs.flags & GroupInfo::FLAG_MERGES != 0;
        self.peer = Some(Peer {
            id: theirs.id,
            merges,
            shares: theirs.flags & GroupInfo::FLAG_SHARES != 0,
            groups: true,
        });
        if other_peer && let Some(stream) = &mut self.stream {
            // It has begun anew, and so does what it sends.
            let latency = stream.negotiated.receiver_latency;
            let tsbpd = latency.map(|latency| Tsbpd::new(now, timestamp, latency));
            stream.receive.restart(agreed.link.receive_isn, tsbpd);
        }
        self.link_up(now, index, agreed, now, timestamp);
    }

    fn on_control(&mut self, now: Instant, index: usize, packet: &ControlPacket<'_>) {
        if matches!(self.end, End::Broken(_)) {
            return;
        }
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get_mut(index)) else { return };
        let Some(up) = member.up_mut() else { return };
        match &packet.control {
            Control::Ack(ack) => self.on_ack(now, index, ack),
            Control::Nak(report) => self.on_nak(now, index, report),
            Control::AckAck { number } => {
                let applied = up.link.on_ackack(now, *number, packet.timestamp, &stream.receive);
                if let Some(applied) = applied {
                    up.drift.1 = applied;
                }
                let each = self.members.iter().filter_map(Member::live).map(|up| up.drift.0 + up.drift.1);
                if let Some(drift) = stream.drift.merge(now, each) {
                    tracing::debug!(drift, "clock drift of the group");
                    stream.receive.set_drift(drift);
                }
            }
            Control::DropRequest(request) => {
                let (first, last) = (request.first, request.last);
                if up.link.on_drop_request(now, first, last, &stream.receive) {
                    up.link.on_played(now, &stream.receive);
                    // Of the stream nothing is given up for that, while another link may bring it.
                    if self.members.iter().filter(|member| member.live().is_some()).count() == 1 {
                        stream.receive.abandon(first, last);
                    }
                }
            }
            Control::Shutdown => self.link_down(now, index, Down::PeerShutdown),
            Control::PeerError(code) => self.events.push(Event::PeerError(*code)),
            Control::UserDefined { subtype: STREAM_REPORT, content, .. }
                if self.peer.is_some_and(|peer| peer.merges) =>
            {
                if let Some(report) = StreamReport::parse(content) {
                    self.on_report(now, &report);
                }
            }
            Control::UserDefined { subtype, content, .. } => up.link.on_user_defined(now, *subtype, content),
            // A repeated conclusion is answered by the endpoint, and a sign of life is one.
            Control::Handshake(_) | Control::Keepalive => {}
            _ => up.link.on_ignored(),
        }
    }

    fn on_ack(&mut self, now: Instant, index: usize, ack: &Ack) {
        let masks = self.masks();
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get_mut(index)) else { return };
        let (slot, id) = (member.slot, member.id);
        let Some(up) = member.up_mut() else { return };
        let before = up.link.first_unacknowledged();
        let news = up.link.on_ack(ack);
        if let AckDetail::Full { rtt_us, rtt_var_us, receive_rate_bps, link_capacity_pps, .. } = ack.detail {
            up.acks += 1;
            up.answers += 1;
            // What every end assumes before it has measured says nothing.
            let assumed = (rtt_us, rtt_var_us) == ASSUMED_RTT;
            let report = Report {
                rtt: Micros::from_micros(u64::from(rtt_us)),
                rtt_variance: Micros::from_micros(u64::from(rtt_var_us)),
                received_bps: (receive_rate_bps > 0).then(|| u64::from(receive_rate_bps)),
                capacity_pps: (link_capacity_pps > 0).then_some(link_capacity_pps),
            };
            if !assumed {
                up.capacity.on_report(now, report);
            }
            up.follow_capacity(now);
            if masks {
                // The peer takes an ACKACK that comes by a longer way, or waited in a queue, for a clock that is behind.
                let queue = up.capacity.queueing_now(now).as_micros().cast_signed();
                let way = up.capacity.base_delay() * 2;
                let reference = stream.reference_rtt.get_or_insert((id, None));
                if up.acks == COMPENSATE_AFTER && reference.0 == id {
                    reference.1 = Some(way);
                }
                if reference.0 == id {
                    up.link.set_ackack_shift(queue);
                } else {
                    let known = reference.1.filter(|_| up.acks >= COMPENSATE_AFTER);
                    if let Some(first) = known {
                        let longer = (way.as_micros().cast_signed() - first.as_micros().cast_signed()) / 2;
                        let shift = *up.shift.get_or_insert(longer);
                        let twice = up.uncompensated > 0;
                        up.uncompensated = up.uncompensated.saturating_sub(1);
                        up.link.set_ackack_shift(queue + if twice { shift * 2 } else { shift });
                    } else {
                        up.uncompensated += 1;
                    }
                }
            }
        }
        let Some(next) = news else { return };
        stream.ledger.on_acknowledged(now, (before, next), slot, |left| up.transit.on_came(left));
        stream.last_progress_at = now;
        self.settle(now);
    }

    /// The peer says what has come of the stream, by whichever link.
    fn on_report(&mut self, now: Instant, report: &StreamReport<'_>) {
        let Some(stream) = &mut self.stream else { return };
        if report.end.is_after(stream.next_new)
            || report.next.is_before(stream.ledger.first()) && report.end.is_before(stream.ledger.first())
        {
            return; // of what was never sent, or older than what is known
        }
        let mut from = stream.ledger.first();
        let mut overdue = Vec::new();
        let members = &mut self.members;
        let mut came = |slot: Slot, left| {
            let member = members.iter_mut().find(|member| member.slot == slot);
            if let Some(up) = member.and_then(Member::up_mut) {
                up.transit.on_came(left);
            }
        };
        for (first, last) in report.missing() {
            stream.ledger.on_delivered(now, from, first, &mut came);
            let mut seq = if first.is_before(from) { from } else { first };
            while !seq.is_after(last) {
                if let Some((slot, age)) =
                    stream.ledger.get(seq).filter(|fate| !fate.done).and_then(|fate| fate.left(now))
                {
                    overdue.push((seq, slot, age));
                }
                seq = seq.next();
            }
            from = if from.is_before(last.next()) { last.next() } else { from };
        }
        stream.ledger.on_delivered(now, from, report.end, &mut came);
        if self.settle(now)
            && let Some(stream) = &mut self.stream
        {
            stream.last_progress_at = now;
        }
        for (seq, slot, age) in overdue {
            if age > self.patience(now, seq, slot) {
                self.send_again(now, seq, Some(slot));
            }
        }
    }

    /// How long after it left on a link a packet that did not come is sent again without having been told lost.
    fn patience(&self, now: Instant, seq: SeqNumber, slot: Slot) -> Micros {
        let link = self.members.iter().find(|member| member.slot == slot).and_then(Member::live);
        let Some(up) = link else { return Micros::ZERO };
        // A report cannot know of what left less than a round trip ago.
        let rtt = up.link.rtt();
        let usual = rtt.overdue() + REPORT_PERIOD;
        let soonest = rtt.shortest_way() * 2 + REPORT_PERIOD * 2;
        // Where there will be no time for another try on another link, that is made before it is too late: a queue that grows is
        // told of only by what has come through it. Where all have enough to do it would cost others their time.
        let others = self.members.iter().filter(|member| member.slot != slot).filter_map(Member::live);
        let quickest = others
            .filter(|up| !up.is_silent(now) && up.again.len() < BUSY)
            .map(|up| up.delivers_at(now, FULL))
            .min();
        let due = self.stream.as_ref().and_then(|stream| super::steer::deadline(stream, seq));
        match quickest.zip(due) {
            Some((quickest, due)) if quickest + quickest.saturating_since(now) + LAST_MARGIN > due => {
                soonest.min(usual)
            }
            _ => usual,
        }
    }

    fn on_nak(&mut self, now: Instant, index: usize, report: &LossReport<'_>) {
        let (merges, masks) = (self.merges(), self.masks());
        let (Some(stream), Some(member)) = (&self.stream, self.members.get_mut(index)) else { return };
        let slot = member.slot;
        let Some(up) = member.up_mut() else { return };
        if masks && let Some(left) = answers(up, report) {
            up.capacity.on_answer(now, left);
            up.follow_capacity(now);
        }
        let (mut lost, mut foreign) = (Vec::new(), Vec::new());
        up.link.on_shared_nak(now, report, |seq| lost.push(seq), |first, last| foreign.push((first, last)));
        let rtt = up.link.rtt().smoothed();
        if !merges {
            let latency = stream.negotiated.peer_latency.unwrap_or_default();
            for &(first, last) in &foreign {
                if !up.waits_below() {
                    up.mask.on_foreign(now, first, last, rtt);
                }
                // What another link has delivered is a hole on this one until it is played.
                if !masks {
                    up.health.on_stall(now + latency);
                }
            }
        }
        for &seq in &lost {
            self.on_missed(now, seq, slot);
            let due = self.stream.as_ref().and_then(|stream| super::steer::deadline(stream, seq));
            if let Some(up) = self.members.get_mut(index).and_then(Member::up_mut)
                && !(merges || masks)
                && let Some(due) = due
            {
                up.health.on_stall(due);
            }
        }
    }

    /// The peer misses a packet on a link that carried it: the link is charged with it once each time it left there.
    fn on_missed(&mut self, now: Instant, seq: SeqNumber, slot: Slot) {
        let fate = self.stream.as_ref().and_then(|stream| stream.ledger.get(seq));
        let known = fate.is_none_or(|fate| fate.done || fate.reported & slot.bit() != 0);
        // Where it left on another link since, it left here at its origin at the earliest.
        let here =
            fate.and_then(|fate| fate.left(now)).filter(|left| left.0 == slot).map(|(_, age)| now - age);
        let times = fate.map_or(0, |fate| fate.times);
        let left = here.or_else(|| Some(self.stream.as_ref()?.send.packet(seq)?.0.origin)).unwrap_or(now);
        let member = self.members.iter_mut().find(|member| member.slot == slot);
        // What was sent again is still missed by reports that left before it came.
        let of_before =
            |up: &Up| times > 1 && now.saturating_since(left) < up.link.rtt().smoothed() + NAK_LATE;
        if let Some(up) =
            member.and_then(Member::up_mut).filter(|up| !known && left >= up.forgiven && !of_before(up))
        {
            up.health.on_lost();
            up.capacity.on_lost(now, 1);
        }
        self.on_lost(now, seq, slot);
    }

    fn on_data(&mut self, now: Instant, index: usize, data: &DataPacket<'_>) {
        if matches!(self.end, End::Broken(_) | End::Goodbye) || data.payload.is_empty() {
            return; // nobody sends nothing; handed out, it would read as the end of the stream
        }
        let Some(stream) = &mut self.stream else { return };
        let seq = data.header.seq;
        let late_us =
            stream.receive.tsbpd().map(|tsbpd| tsbpd.offset(now, tsbpd.unwrap(data.header.timestamp)));
        if let Some(late_us) = late_us
            && self.is_of_other_clock(index, late_us)
        {
            self.link_down(now, index, Down::OtherClock);
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        // How long the other links may take yet to bring what is missing on this one; or the peer to say that they do.
        let shares = self.peer.is_some_and(|peer| peer.shares);
        let elsewhere = late_us.map_or(Micros::ZERO, |late_us| {
            if shares {
                return SAID_AFTER;
            }
            let latency = stream.negotiated.receiver_latency.unwrap_or(Micros::MAX);
            let others = self.members.iter().enumerate().filter(|(other, _)| *other != index);
            let waits =
                others.filter_map(|(_, member)| Some(member.live()?.delay.may_take(now, late_us, latency)));
            waits.max().unwrap_or_default()
        });
        let shared = self.members.len() > 1;
        let Some(up) = self.members.get_mut(index).and_then(Member::up_mut) else { return };
        if let Some(late_us) = late_us.filter(|_| !data.header.retransmitted) {
            up.delay.sample(now, late_us);
        }
        let insertion = if up.link.takes_plain(&data.header) || !stream.receive.wants(seq) {
            // What is there already, or will not be played any more, needs no decryption.
            Some(stream.receive.insert(now, &data.header, data.payload))
        } else if stream.receive.has_place(seq) {
            let open = |slot: &mut [u8]| up.link.open(&data.header, data.payload, slot);
            stream.receive.insert_with(now, &data.header, data.payload.len(), open)
        } else {
            // It may move the buffer, so it has to prove first that it is what it seems.
            stream.plain.resize(data.payload.len(), 0);
            let opened = up.link.open(&data.header, data.payload, &mut stream.plain);
            opened.map(|len| {
                stream.receive.insert(now, &data.header, stream.plain.get(..len).unwrap_or_default())
            })
        };
        let len = data.payload.len();
        let Some(insertion) = insertion else {
            if up.link.on_undecryptable(now, &data.header, len, &stream.receive) && !shared {
                stream.receive.pass_over(seq);
            }
            return;
        };
        stream.averages.sample(now, &stream.send, &stream.receive);
        match insertion {
            Insertion::NoRoom => up.link.on_no_room(len),
            _ => up.link.on_shared_data(now, &data.header, len, &stream.receive, elsewhere),
        }
        // Soon after something came, and not more often than every so often.
        if self.peer.is_some_and(|peer| peer.merges) {
            let due = (up.reported_at + REPORT_PERIOD).max(now + REPORT_AFTER);
            up.report_at.get_or_insert(due);
        }
        if insertion == Insertion::New {
            for (other, member) in self.members.iter_mut().enumerate() {
                if other == index {
                    member.first_copies += 1;
                } else if let Some(up) = member.up_mut() {
                    up.link.on_elsewhere(now, seq);
                }
            }
        }
    }

    /// Whether a link stamps its packets by a clock that the others do not share.
    fn is_of_other_clock(&self, index: usize, late_us: i64) -> bool {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != index);
        let known = others.filter_map(|(_, member)| member.live()?.delay.mean()).next();
        known.is_some_and(|known| late_us.abs_diff(known) > CLOCKS_APART.as_micros())
    }
}

/// When the packet left to whose arrival a NAK of a libsrt is the answer: the first after a gap makes it tell of the gap at once.
fn answers(up: &mut Up, report: &LossReport<'_>) -> Option<Instant> {
    let after = report.iter().last()?.1.next();
    if up.answered.is_some_and(|answered| !after.is_after(answered)) {
        return None; // it is told again
    }
    let left = up.link.left_once(after)?;
    up.answered = Some(after);
    Some(left)
}

/// Why a group that never came to be did not.
pub(super) const fn never(down: Option<Down>) -> ConnectionError {
    match down {
        Some(Down::Refused(reason)) => ConnectionError::Rejected(reason),
        Some(Down::PeerShutdown) => ConnectionError::PeerShutdown,
        _ => ConnectionError::Timeout,
    }
}
