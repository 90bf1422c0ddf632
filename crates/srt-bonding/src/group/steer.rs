//! Which links carry the stream, which are in doubt, which are tried again; and what goes on which of them once more.

use srt_protocol::{
    connection::ConnectionError,
    packet::{HEADER_SIZE, UDP_IP_OVERHEAD},
    stream::SendBuffer,
    time::{Instant, Micros},
    types::SeqNumber,
};

use super::{End, Group, PATIENCE, Role, Stream};
use crate::{
    Event, LinkId, Mode,
    backup::{Candidate, choose, proven_after},
    event::Down,
    ledger::Slot,
    member::{Member, Phase, Up},
    recovery::Loss,
};

/// A link that has come back is tried for this long at least, and has to have answered so often.
const PROBATION: Micros = Micros::from_secs(1);
const PROBATION_ANSWERS: u64 = 10;
/// What is sent again leaves at least this fast, in bytes per second, and at twice the rate of the stream.
const AGAIN_LEAST: u64 = 250_000;
/// Bytes of a packet, about.
const FULL_PACKET: u64 = 1_360;
/// From here on a way is silent, or comes too late.
const SILENT: u8 = 4;
/// After the news of other links should have come.
const NEWS_MARGIN: Micros = Micros::from_millis(30);

impl Group {
    /// Looks at what time has made of the links.
    pub(super) fn look_at_links(&mut self, now: Instant) {
        let mut index = 0;
        while index < self.members.len() {
            let id = self.members[index].id;
            self.look_at_link(now, index);
            // It may have been taken out.
            index += usize::from(self.members.get(index).is_some_and(|member| member.id == id));
        }
        if let Some(since) = self.down_since
            && matches!(self.role, Role::Listener { .. })
            && matches!(self.end, End::NotYet | End::Closing(_))
            && now >= since + PATIENCE
        {
            self.peer_is_gone(now, ConnectionError::PeerIdle);
        }
    }

    /// When the first packet that has not come left on a link of a backup group, where the peer tells what has come.
    fn oldest_on(&self, now: Instant, index: usize) -> Option<Instant> {
        let stream = self.stream.as_ref().filter(|_| self.mode == Mode::Backup && self.merges())?;
        let (slot, age) = stream.ledger.get(stream.ledger.first()).filter(|fate| !fate.done)?.left(now)?;
        self.members.get(index).filter(|member| member.slot == slot).map(|_| now - age)
    }

    fn look_at_link(&mut self, now: Instant, index: usize) {
        let ending = self.end != End::NotYet;
        let oldest = self.oldest_on(now, index);
        let Some(member) = self.members.get_mut(index) else { return };
        let id = member.id;
        match &mut member.phase {
            Phase::Down(Some(at)) if *at <= now && !ending => {
                member.phase = Phase::Wanted;
                self.events.push(Event::Wanted(id));
            }
            Phase::Calling(caller) => {
                if now >= caller.gives_up_at(member.config.as_deref().unwrap_or(&self.config)) {
                    self.link_down(now, index, Down::Timeout);
                }
            }
            Phase::Up(up) => {
                if up.link.is_idle(now) {
                    self.link_down(now, index, Down::PeerIdle);
                    return;
                }
                let changed = up.health.look(now, up.link.rtt(), oldest);
                up.capacity.handle_timeout(now);
                let unstable = up.health.unstable();
                if up.is_silent(now) && up.dark.is_none() {
                    up.dark = Some(up.capacity.rate());
                }
                let balancing = self.mode == Mode::Balancing;
                if changed && unstable.is_none() && balancing {
                    (up.probation, up.answers) = (Some(now), 0);
                }
                let proven = up.probation.is_some_and(|since| {
                    now.saturating_since(since) >= PROBATION
                        && up.answers >= PROBATION_ANSWERS
                        && unstable.is_none()
                });
                if proven {
                    up.probation = None;
                }
                if changed && unstable.is_none() {
                    up.since = now; // it has to prove itself anew
                }
                if changed {
                    self.events.push(match unstable {
                        Some(why) => Event::LinkUnstable(id, why),
                        None => Event::LinkStable(id),
                    });
                    if unstable.is_some() && balancing {
                        self.hand_on(now, index);
                    }
                }
                if proven && balancing {
                    self.events.push(Event::LinkActive(id));
                }
            }
            Phase::Down(_) | Phase::Wanted | Phase::Declining(..) => {}
        }
    }

    /// Decides which links carry every new packet.
    pub(super) fn steer(&mut self, now: Instant) {
        let Some(stream) = &self.stream else { return };
        let latency = stream.negotiated.peer_latency.unwrap_or(Micros::from_secs(1));
        let single = self.peer.is_some_and(|peer| !peer.groups);
        let after = proven_after(self.config.group_min_stable_timeout(), latency);
        let mut changed = false;
        if self.mode == Mode::Backup && !single {
            let live: Vec<usize> =
                (0..self.members.len()).filter(|&index| self.members[index].live().is_some()).collect();
            let candidates: Vec<Candidate> = live.iter().filter_map(|&index| self.candidate(index)).collect();
            let (main, carry) = choose(now, &candidates, after);
            self.note_main(main);
            for (&index, carry) in live.iter().zip(carry) {
                changed |= self.set_carrying(now, index, carry);
            }
        } else {
            let carry = single || self.mode == Mode::Broadcast;
            for index in 0..self.members.len() {
                if self.members[index].live().is_some_and(|up| up.carrying != carry) {
                    changed |= self.set_carrying(now, index, carry);
                }
            }
        }
        if changed {
            self.set_rates(now);
        }
        let carrying = self.members.iter().filter_map(Member::live).filter(|up| up.carrying).count();
        let main = self.members.iter().filter(|member| Some(member.id) == self.main).find_map(Member::live);
        self.proven_at = main
            .filter(|up| self.mode == Mode::Backup && carrying > 1 && up.health.unstable().is_none())
            .map(|up| up.since + after)
            .filter(|&at| at > now);
    }

    fn candidate(&self, index: usize) -> Option<Candidate> {
        let member = self.members.get(index)?;
        let up = member.live()?;
        Some(Candidate {
            id: member.id,
            weight: member.weight,
            carrying: up.carrying,
            since: up.since,
            in_doubt: up.health.unstable().is_some(),
        })
    }

    fn note_main(&mut self, main: Option<LinkId>) {
        if let Some(main) = main
            && self.main != Some(main)
        {
            let before = self.main.replace(main);
            self.events.push(Event::Switched(before, main));
        }
    }

    fn set_carrying(&mut self, now: Instant, index: usize, carrying: bool) -> bool {
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get_mut(index)) else {
            return false;
        };
        let id = member.id;
        let Some(up) = member.up_mut() else { return false };
        if up.carrying == carrying {
            return false;
        }
        up.carrying = carrying;
        up.since = now;
        if carrying {
            up.cursor = stream.next_new;
            if self.mode == Mode::Backup {
                // What is not known to have come goes here as well, nearest deadline first.
                for (seq, _) in stream.ledger.open() {
                    up.again.insert(seq, seq);
                }
            }
        }
        self.events.push(if carrying { Event::LinkActive(id) } else { Event::LinkIdle(id) });
        true
    }

    /// Sets how fast each link may send.
    pub(super) fn set_rates(&mut self, now: Instant) {
        let Some(stream) = &self.stream else { return };
        let rate = stream.rate.bytes_per_second();
        let latency = stream.negotiated.peer_latency.unwrap_or(Micros::from_secs(1));
        let input = stream.input.rate;
        for up in self.members.iter_mut().filter_map(Member::up_mut) {
            let limit = up.limited.then(|| up.capacity.rate());
            let paced = match (rate, limit) {
                (Some(rate), Some(limit)) => Some(rate.min(limit)),
                (rate, limit) => rate.or(limit),
            };
            up.link.set_rate(now, paced);
            // Fast enough for all that waits to be in time.
            let waiting = up.again.len() as u64 * FULL_PACKET * 4_000_000 / latency.as_micros().max(1);
            up.again_pacing.set_rate(now, (!up.limited).then_some((input * 2).max(waiting).max(AGAIN_LEAST)));
        }
    }

    /// Tells what an encoder may send, where that has changed by a tenth.
    pub(super) fn tell_safe_rate(&mut self) {
        let payload = |rate: u64| rate - rate * (HEADER_SIZE + UDP_IP_OVERHEAD) as u64 / 1_360;
        let safe = self.members.iter().filter_map(Member::live).filter(|up| up.is_trusted());
        let safe: u64 = match self.mode {
            Mode::Balancing => safe.map(|up| up.capacity.safe_rate()).sum(),
            Mode::Backup => {
                safe.filter(|up| up.carrying).map(|up| up.capacity.safe_rate()).max().unwrap_or(0)
            }
            Mode::Broadcast => safe.map(|up| up.capacity.safe_rate()).max().unwrap_or(0),
        };
        let safe = payload(safe);
        if safe.abs_diff(self.told_rate) > self.told_rate / 10 {
            self.told_rate = safe;
            self.events.push(Event::SafeRate(safe));
        }
    }

    /// The peer misses `seq` on a link that carried it.
    pub(super) fn on_lost(&mut self, now: Instant, seq: SeqNumber, slot: Slot) {
        let Some(stream) = &mut self.stream else { return };
        stream.ledger.on_reported(seq, slot);
        let Some(fate) = stream.ledger.get(seq).filter(|fate| !fate.done) else { return };
        let (carriers, reported) = (fate.carriers, fate.reported);
        let left = fate.left(now);
        let up = |bit: u16| {
            self.members.iter().filter(move |member| member.slot.bit() & bit != 0).filter_map(Member::live)
        };
        // A report cannot know of what left elsewhere less than a round trip ago.
        if let Some((last, age)) = left
            && last != slot
            && up(last.bit()).any(|up| age < up.link.rtt().fresh())
        {
            return;
        }
        let others = carriers & !reported;
        let news_in = up(others)
            .filter(|up| up.health.unstable().is_none())
            .map(|up| up.link.rtt().smoothed() + NEWS_MARGIN)
            .max()
            .map(|news| left.map_or(news, |(_, age)| news - age.min(news)));
        let quickest = up(u16::MAX).map(Up::one_way).min().unwrap_or_default();
        let loss = Loss { deadline: deadline(stream, seq), news_in, quickest };
        let at = loss.resend_at(now);
        if at > now {
            stream.recovery.wait(at, seq);
        } else {
            self.send_again(now, seq, Some(slot));
        }
    }

    /// Sends again what was waited for in vain.
    pub(super) fn look_at_losses(&mut self, now: Instant) {
        while let Some(stream) = &mut self.stream
            && let Some(seq) = stream.recovery.pop(now)
        {
            if stream.ledger.get(seq).is_some_and(|fate| !fate.done) {
                self.send_again(now, seq, None);
            }
        }
    }

    /// Has `seq` sent again on the link that delivers it first; one that lost it last is not asked again at once if another can.
    pub(super) fn send_again(&mut self, now: Instant, seq: SeqNumber, avoid: Option<Slot>) {
        let shares = self.shares();
        let Some(stream) = &mut self.stream else { return };
        let Some((_, payload)) = stream.send.packet(seq) else { return };
        let len = payload.len();
        let due = deadline(stream, seq);
        let mut ways: Vec<(u8, Instant, usize)> = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let Some(up) = member.live() else { continue };
            if up.again.contains(seq) && up.health.unstable().is_none() {
                return; // it is about to leave
            }
            let at = up.delivers_at(now, len);
            let late = due.is_some_and(|due| at > due);
            // A link that just lost it is still better than one in doubt; of those one that is heard again is better than one that is
            // not; and any better than coming too late.
            let fault = [late, up.is_silent(now), up.health.unstable().is_some(), avoid == Some(member.slot)];
            let worse = fault.iter().fold(0_u8, |sum, &wrong| sum * 2 + u8::from(wrong));
            ways.push((worse, at, index));
        }
        ways.sort_unstable();
        let last_try =
            ways.first().zip(due).is_some_and(|(way, due)| way.1 + way.1.saturating_since(now) * 2 > due);
        // What has one try left takes two ways, where there are two that are good.
        let both = last_try && ways.get(1).is_some_and(|way| way.0 == 0);
        // So does what has no good one, where links carry all anyway.
        let hedged = !shares
            && ways.first().is_some_and(|way| way.0 > 0)
            && ways.get(1).is_some_and(|way| way.0 < SILENT);
        let most = if both || hedged { 2 } else { 1 };
        for &(_, _, index) in ways.iter().take(most) {
            if let Some(up) = self.members[index].up_mut() {
                up.again.insert(seq, seq);
            }
        }
    }
}

/// When the peer plays `seq`; `None` where it does not play by time.
pub(super) fn deadline(stream: &Stream, seq: SeqNumber) -> Option<Instant> {
    let latency = stream.negotiated.peer_latency.filter(|_| stream.negotiated.peer_tlpktdrop)?;
    Some(origin(&stream.send, seq)? + latency)
}

fn origin(send: &SendBuffer, seq: SeqNumber) -> Option<Instant> {
    Some(send.packet(seq)?.0.origin)
}
