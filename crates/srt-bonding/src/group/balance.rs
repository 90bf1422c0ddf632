//! Balancing: each packet on the link that will deliver it first.
//!
//! A packet is bound to a link as soon as it is there, and waits its turn in a short queue: so the queues tell when the quickest link
//! is full, and the next one takes over. Runs of packets are bound, so that little has to be said of what a link does not carry.

use srt_protocol::time::{Instant, Micros};

use super::Group;
use crate::{ledger::Slot, member::Up};

/// Packets of a run, at most and as long as they take to leave.
const RUN: u32 = 8;
const RUN_SPAN: Micros = Micros::from_millis(20);
/// Packets that wait for a link at most.
const WAITING_MAX: usize = 16;
/// One packet in so many goes as a copy on links that are on probation.
const COPY_EVERY: u32 = 8;
/// A link that carried nothing for this long carries a copy, so that it is known how it fares.
const QUIET: Micros = Micros::from_millis(200);

impl Group {
    /// Binds new packets to links.
    pub(super) fn assign(&mut self, now: Instant) {
        loop {
            let Some(stream) = &self.stream else { return };
            let seq = stream.next_new;
            let Some((packet, payload)) = stream.send.packet(seq) else { return };
            let (len, expired) = (payload.len(), packet.expires.is_some_and(|at| at <= now));
            if expired {
                let msgno = packet.msgno;
                let Some(stream) = &mut self.stream else { return };
                stream.ledger.give_up(seq);
                stream.next_new = seq.next();
                for up in self.members.iter_mut().filter_map(crate::member::Member::up_mut) {
                    up.link.on_expired(seq, msgno);
                }
                continue;
            }
            let Some(index) = self.pick(now, len) else { return };
            let slot = self.members[index].slot;
            let mut ended = None;
            if let Some(stream) = &mut self.stream {
                stream.next_new = seq.next();
                stream.last_new_at = now;
                let length = self.members[index].live().map_or(1, |up| run_length(up, len));
                match &mut stream.run {
                    Some((current, left)) if *current == slot && *left > 0 => *left -= 1,
                    run => {
                        ended = run
                            .replace((slot, length - 1))
                            .map(|(before, _)| before)
                            .filter(|&before| before != slot);
                    }
                }
            }
            let due = self.stream.as_ref().and_then(|stream| super::steer::deadline(stream, seq));
            for (other, member) in self.members.iter_mut().enumerate() {
                let member_slot = member.slot;
                let Some(up) = member.up_mut().filter(|up| up.goodbyes.is_none()) else { continue };
                let tried = up.probation.is_some() || up.health.unstable().is_some();
                let copy = tried && seq.value().is_multiple_of(COPY_EVERY)
                    || now.saturating_since(up.sent_at) >= QUIET && up.again.is_empty();
                // A copy that comes too late is none.
                let copy = copy
                    && up.again.len() < WAITING_MAX
                    && due.is_none_or(|due| up.delivers_at(now, len) < due);
                if other == index || copy {
                    up.again.insert(seq, seq);
                }
                if ended == Some(member_slot) {
                    up.mask.on_run_ended();
                }
            }
        }
    }

    /// The link for the next packet; `None` where all have enough to do.
    fn pick(&self, now: Instant, len: usize) -> Option<usize> {
        let usable = |up: &&Up| up.link.window_left() > 0 && up.link.keys().ready();
        let mut best: Option<((bool, bool), Instant, usize)> = None;
        let run = self.stream.as_ref().and_then(|stream| stream.run).filter(|run| run.1 > 0);
        for (index, member) in self.members.iter().enumerate() {
            let Some(up) = member.live().filter(usable) else { continue };
            if run.is_some_and(|(slot, _): (Slot, u32)| slot == member.slot) && up.is_trusted() {
                return Some(index);
            }
            // One that begins a run has to have room for all of it: else every packet were a run of its own.
            if up.again.len() > WAITING_MAX - run_length(up, len) as usize {
                continue;
            }
            let doubt = (up.is_silent(now), !up.is_trusted());
            let rank = (doubt, up.delivers_at(now, len), index);
            if best.is_none_or(|best| rank < best) {
                best = Some(rank);
            }
        }
        best.map(|(_, _, index)| index)
    }
}

/// Packets that go on one link in a row.
fn run_length(up: &Up, len: usize) -> u32 {
    let fits = up.capacity.rate() * RUN_SPAN.as_micros() / 1_000_000 / len.max(1) as u64;
    u32::try_from(fits).unwrap_or(RUN).clamp(1, RUN)
}
