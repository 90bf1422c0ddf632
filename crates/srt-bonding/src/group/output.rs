//! What leaves first, and why; and when there is something to do.

use srt_protocol::{
    connection::{Transmit, TransmitBatch},
    link::{Deadline, Timer},
    packet::{
        Control, ControlPacket, DropRequest, HEADER_SIZE, STREAM_REPORT, STREAM_REPORT_RUNS, StreamReport,
        UDP_IP_OVERHEAD,
    },
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

use super::{End, Group, PATIENCE, Role, Stream, steer::deadline};
use crate::{
    event::Down,
    member::{Member, Phase, Up},
};

/// The second packet of a pair follows the first, whose number is a multiple of this, without a pause.
const PROBE_PAIR: u32 = 16;
/// A report may go so much earlier than it is due.
const REPORT_EARLY: Micros = Micros::from_millis(10);
/// New packets that have waited longer than this, or than a quarter of the latency, go before those that are sent again.
const NEW_MAY_WAIT: Micros = Micros::from_millis(10);

pub(super) fn poll(
    group: &mut Group,
    now: Instant,
    batch: &mut TransmitBatch,
) -> Option<(SocketId, Transmit)> {
    batch.clear();
    if group.closed.is_some() || matches!(group.end, End::Broken(_)) {
        return None;
    }
    let dropped = group.give_up_late(now);
    group.on_dropped(dropped);
    if group.shares() {
        group.assign(now);
    }
    let (count, begin) = (group.members.len(), group.turn);
    for step in 0..count {
        let index = (begin + step) % count;
        let Some(member) = group.members.get_mut(index) else { break };
        let (socket, to, from) = (member.socket, member.peer, member.local_ip);
        match &mut member.phase {
            Phase::Down(_) | Phase::Wanted => continue,
            Phase::Declining(peer, reason) => {
                let (destination, reason) = (*peer, *reason);
                ControlPacket { timestamp: Timestamp::default(), destination, control: Control::Shutdown }
                    .write(batch.buffer());
                batch.end_datagram();
                let without_groups = group.peer.is_some_and(|peer| !peer.groups);
                let why = match reason {
                    srt_protocol::handshake::RejectReason::Group => Down::OtherPeer,
                    reason => Down::Refused(reason),
                };
                group.link_down(now, index, why);
                if without_groups && let Some(member) = group.members.get_mut(index) {
                    member.phase = Phase::Down(None);
                }
            }
            Phase::Calling(caller) => {
                let config = member.config.as_deref().unwrap_or(&group.config);
                if caller.poll(now, config, batch.buffer()) {
                    batch.end_datagram();
                }
            }
            Phase::Up(up) => match &mut up.goodbyes {
                Some(left) => {
                    *left = left.saturating_sub(1);
                    let done = *left == 0;
                    up.link.write(now, Control::Shutdown, batch.buffer());
                    batch.end_datagram();
                    if done {
                        group.link_down(now, index, Down::Removed);
                        group.go_on_ending(now);
                    }
                }
                None => group.fill(now, index, batch),
            },
        }
        if let Some(transmit) = batch.transmit(to, from) {
            group.turn = index;
            return Some((socket, transmit));
        }
        group.turn = index + 1;
    }
    None
}

/// Which packet leaves.
#[derive(Clone, Copy)]
enum Next {
    Again(SeqNumber),
    Probe(SeqNumber),
    New(SeqNumber),
}

impl Group {
    fn fill(&mut self, now: Instant, index: usize, batch: &mut TransmitBatch) {
        let (runs_until, merges) = (self.runs_until(), self.merges());
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get_mut(index)) else { return };
        let slot = member.slot;
        let Some(up) = member.up_mut() else { return };
        let said = up.link.poll_control(now, &stream.receive, batch.buffer());
        if said {
            batch.end_datagram();
        }
        // A report that is due soon goes with what else there is to say: one wake-up at the other end, not two.
        let soon = if said { now + REPORT_EARLY } else { now };
        if merges && up.report_at.is_some_and(|at| at <= soon) {
            write_report(now, stream, up, batch);
        }
        if batch.segments() > 0 {
            return;
        }
        // What is not done with may have to go on this link yet, and then in its place.
        let waits = up.waits_below();
        let soon = up.mask.next_at(stream.send.first(), true);
        let running = soon.zip(runs_until).is_some_and(|(soon, until)| soon < until);
        if !waits && let Some((first, last)) = up.mask.poll(now, stream.send.first(), running) {
            let request = DropRequest { msgno: MsgNumber::CONTROL, first, last };
            up.link.write(now, Control::DropRequest(request), batch.buffer());
            batch.end_datagram();
            return;
        }
        let tail = if up.carrying { up.cursor } else { stream.next_new };
        up.link.probe_tail(now, tail);
        let mut pair = false;
        while let Some(up) = self.members.get_mut(index).and_then(Member::up_mut)
            && (up.link.may_send(now) || pair)
        {
            let Some(next) = self.next_packet(now, index) else { break };
            let (seq, new) = match next {
                Next::Again(seq) | Next::Probe(seq) => (seq, false),
                Next::New(seq) => (seq, true),
            };
            if pair && !new {
                break;
            }
            let (Some(stream), Some(up)) =
                (&mut self.stream, self.members.get_mut(index).and_then(Member::up_mut))
            else {
                break;
            };
            let Some((_, payload)) = stream.send.packet(seq) else {
                up.again.remove(seq, seq);
                continue;
            };
            let len = payload.len();
            if !batch.takes(len + up.link.tag_len() + HEADER_SIZE) {
                break;
            }
            let first_time = stream.ledger.get(seq).is_none_or(|fate| fate.times == 0);
            if !up.link.write_data(now, seq, &stream.send, batch.buffer()) {
                break;
            }
            batch.end_datagram();
            let size = len + up.link.tag_len() + HEADER_SIZE + UDP_IP_OVERHEAD;
            stream.ledger.on_sent(now, seq, slot, up.mask.in_place(seq));
            up.sent_at = now;
            if first_time && merges && up.limited {
                up.transit.on_sent(now);
            }
            up.health.on_sent(now);
            up.capacity.on_sent(now, size);
            up.mask.on_carried(now, seq);
            match next {
                Next::Again(_) => {
                    up.again.remove(seq, seq);
                    if !first_time {
                        up.again_pacing.spend(size);
                    }
                }
                Next::Probe(_) => {}
                Next::New(_) => {
                    up.cursor = seq.next();
                    pair = seq.value().is_multiple_of(PROBE_PAIR);
                    if up.cursor.is_after(stream.next_new) {
                        (stream.next_new, stream.last_new_at) = (up.cursor, now);
                    }
                }
            }
            if !new {
                pair = false;
            }
        }
        let waits = self.stream.as_ref().is_some_and(|stream| stream.next_new.is_before(stream.send.next()));
        if let Some(up) = self.members.get_mut(index).and_then(Member::up_mut)
            && up.limited
        {
            up.capacity.on_limited(now, waits || !up.again.is_empty());
        }
    }

    /// Until when packets of the stream are still to be played, or to be acknowledged.
    fn runs_until(&self) -> Option<Instant> {
        let stream = self.stream.as_ref()?;
        Some(
            stream.last_new_at
                + stream.negotiated.peer_latency.unwrap_or_default()
                + Micros::from_millis(500),
        )
    }

    fn next_packet(&mut self, now: Instant, index: usize) -> Option<Next> {
        let new = self.next_new(now, index);
        let (stream, up) = (self.stream.as_mut()?, self.members.get_mut(index)?.up_mut()?);
        let waited = new.and_then(|seq| Some(now.saturating_since(stream.send.packet(seq)?.0.origin)));
        let patience = stream.negotiated.peer_latency.map(|latency| (latency / 4).max(NEW_MAY_WAIT));
        let has_waited = waited.zip(patience).is_some_and(|(waited, patience)| waited >= patience);
        if has_waited {
            return new.map(Next::New);
        }
        let mut late = Vec::new();
        while let Some(seq) = up.again.first() {
            let fate = stream.ledger.get(seq);
            let done = fate.is_some_and(|fate| fate.done) || stream.send.packet(seq).is_none();
            let hopeless = deadline(stream, seq).is_some_and(|due| now + up.link.rtt().shortest_way() > due);
            if !done && !hopeless {
                let first_time = fate.is_none_or(|fate| fate.times == 0);
                let ready = first_time || up.again_pacing.ready(now);
                if ready && up.link.may_carry_new(now) {
                    return Some(Next::Again(seq));
                }
                break;
            }
            up.again.remove(seq, seq);
            if hopeless && !done && fate.is_none_or(|fate| fate.times == 0) {
                late.push(seq);
            }
        }
        for seq in late {
            // It was bound to this link alone and never left: the ledger must not wait for it.
            if !self.members.iter().filter_map(Member::up).any(|up| up.again.contains(seq)) {
                stream.ledger.give_up(seq);
            }
        }
        let up = self.members.get_mut(index)?.up_mut()?;
        if let Some(seq) = up.link.peek_resend(now, &stream.send) {
            return Some(Next::Probe(seq));
        }
        new.map(Next::New)
    }

    /// The next packet of a link that carries all of them.
    fn next_new(&mut self, now: Instant, index: usize) -> Option<SeqNumber> {
        let (stream, up) = (self.stream.as_mut()?, self.members.get_mut(index)?.up_mut()?);
        if !up.carrying || !up.link.may_carry_new(now) {
            return None;
        }
        while up.cursor.is_before(stream.send.next()) {
            let seq = up.cursor;
            let open = up.link.window_left() > 0 || up.link.may_knock_at().is_some_and(|at| at <= now);
            if !open {
                return None;
            }
            let (packet, _) = stream.send.packet(seq)?;
            let done = stream.ledger.get(seq).is_some_and(|fate| fate.done);
            if packet.expires.is_some_and(|at| at <= now)
                && stream.ledger.get(seq).is_none_or(|fate| fate.times == 0)
            {
                up.link.on_expired(seq, packet.msgno);
                stream.ledger.give_up(seq);
            } else if !done {
                return Some(seq);
            }
            up.cursor = seq.next();
            if up.cursor.is_after(stream.next_new) {
                stream.next_new = up.cursor;
            }
        }
        None
    }
}

/// Tells the peer what has come of the stream by now, where the batch takes it.
fn write_report(now: Instant, stream: &mut Stream, up: &mut Up, batch: &mut TransmitBatch) {
    let mut missing = std::mem::take(&mut stream.missing);
    let end = stream.receive.missing(STREAM_REPORT_RUNS, &mut missing);
    let next = missing.first().map_or(end, |run| run.0);
    let content = StreamReport::new(next, end, &missing).to_bytes();
    stream.missing = missing;
    if batch.takes(HEADER_SIZE + content.len()) {
        (up.report_at, up.reported_at) = (None, now);
        let control = Control::UserDefined { subtype: STREAM_REPORT, info: 0, content: &content };
        up.link.write(now, control, batch.buffer());
        batch.end_datagram();
    }
}

/// When to call again, and why.
pub(super) fn next_timeout(group: &Group) -> Option<Deadline> {
    if group.closed.is_some() || matches!(group.end, End::Broken(_)) {
        return None;
    }
    let mut next: Option<Deadline> = None;
    let mut at = |at: Option<Instant>, timer: Timer| {
        next = Deadline::earlier(next, at.map(|at| Deadline::new(at, timer)));
    };
    let runs_until = group.runs_until();
    for member in &group.members {
        match &member.phase {
            Phase::Down(again) => at(again.filter(|_| group.end == End::NotYet), Timer::Handshake),
            Phase::Wanted => {}
            Phase::Declining(..) => at(Some(Instant::default()), Timer::Close),
            Phase::Calling(caller) => {
                let config = member.config.as_deref().unwrap_or(&group.config);
                at(Some(caller.send_at()), Timer::Handshake);
                at(Some(caller.gives_up_at(config)), Timer::ConnectTimeout);
            }
            Phase::Up(up) if up.goodbyes.is_some() => at(Some(Instant::default()), Timer::Close),
            Phase::Up(up) => {
                let Some(stream) = &group.stream else { continue };
                let tail = if up.carrying { up.cursor } else { stream.next_new };
                let own = up.link.next_timeout(tail);
                at(own.map(|own| own.at), own.map_or(Timer::Transmit, |own| own.timer));
                let paced = up.link.paced_at();
                if !up.again.is_empty() && up.link.keys().ready() {
                    at(Some(paced.max(up.again_pacing.ready_at().unwrap_or_default())), Timer::Pacing);
                }
                if up.carrying && up.cursor.is_before(stream.send.next()) && up.link.keys().ready() {
                    let open = if up.link.window_left() > 0 {
                        Some(paced)
                    } else {
                        up.link.may_knock_at().map(|at| at.max(paced))
                    };
                    at(open, Timer::Pacing);
                }
                // Whether the stream runs is judged by when the next repetition would be.
                let soon = up.mask.next_at(stream.send.first(), true);
                let runs = soon.zip(runs_until).is_some_and(|(soon, until)| soon < until);
                let tell = if runs { soon } else { up.mask.next_at(stream.send.first(), false) };
                at(tell.filter(|_| !up.waits_below()), Timer::Transmit);
                at(up.report_at, Timer::Ack);
                at(up.health.next_look(up.link.rtt()), Timer::PeerIdle);
                at(up.capacity.next_timeout(), Timer::Pacing);
            }
        }
    }
    if let Some(stream) = &group.stream {
        at(stream.recovery.next(), Timer::SecondCopy);
        if let Some(threshold) = group.too_late_after()
            && let Some((oldest, _)) = stream.send.packet(stream.send.first())
        {
            at(Some(oldest.origin + threshold + Micros::from_micros(1)), Timer::TooLate);
        }
    }
    at(group.proven_at, Timer::Transmit);
    at(group.ends_at(), Timer::Close);
    if matches!(group.role, Role::Listener { .. }) {
        at(group.down_since.map(|since| since + PATIENCE), Timer::PeerIdle);
    }
    next
}
