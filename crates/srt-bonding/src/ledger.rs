//! Which link carried which packet, and what became of it.

use std::collections::VecDeque;

use srt_protocol::{
    time::{Instant, Micros},
    types::SeqNumber,
};

/// The place of a link among at most 16: a bit of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u8);

impl Slot {
    pub(crate) const fn bit(self) -> u16 {
        1 << self.0
    }
}

/// One packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    /// The links that carried it.
    pub(crate) carriers: u16,
    /// Those on which the peer reported it lost since it left there last.
    pub(crate) reported: u16,
    /// Those that carried it out of its place, of which an ACK there says nothing.
    displaced: u16,
    /// The peer has it, or wants it no more.
    pub(crate) done: bool,
    /// How often it left.
    pub(crate) times: u8,
    /// The link on which it left last, and when: the low 32 bits of µs.
    last: Option<(Slot, u32)>,
}

impl Fate {
    /// How long ago it left last, and where; `None` where it has not left.
    pub(crate) fn left(&self, now: Instant) -> Option<(Slot, Micros)> {
        let (slot, at) = self.last?;
        Some((slot, Micros::from_micros(u64::from(low_bits(now).wrapping_sub(at)))))
    }
}

/// The packets of the stream from the first that is not done with.
#[derive(Debug)]
pub(crate) struct Ledger {
    first: SeqNumber,
    fates: VecDeque<Fate>,
}

impl Ledger {
    pub(crate) const fn new(first: SeqNumber) -> Self {
        Self { first, fates: VecDeque::new() }
    }

    pub(crate) fn get(&self, seq: SeqNumber) -> Option<&Fate> {
        self.fates.get(self.index(seq)?)
    }

    /// `seq` leaves on a link: `in_place` where the link carried none of a higher number before, and told of none.
    pub(crate) fn on_sent(&mut self, now: Instant, seq: SeqNumber, slot: Slot, in_place: bool) {
        let Some(index) = self.index(seq) else { return };
        if index >= self.fates.len() {
            self.fates.resize(index + 1, Fate::default());
        }
        if let Some(fate) = self.fates.get_mut(index) {
            if fate.carriers & slot.bit() == 0 && !in_place {
                fate.displaced |= slot.bit();
            }
            fate.carriers |= slot.bit();
            fate.reported &= !slot.bit();
            fate.times = fate.times.saturating_add(1);
            fate.last = Some((slot, low_bits(now)));
        }
    }

    /// The peer misses `seq` on a link that carried it.
    pub(crate) fn on_reported(&mut self, seq: SeqNumber, slot: Slot) {
        if let Some(fate) = self.index(seq).and_then(|index| self.fates.get_mut(index)) {
            fate.reported |= slot.bit();
        }
    }

    /// A link acknowledged everything from `from` to before `next`: what it carried of that is done. What it did not carry it may
    /// pass over because it was told so. Tells `came` when what left once, on this link, did so.
    pub(crate) fn on_acknowledged(
        &mut self,
        now: Instant,
        (from, next): (SeqNumber, SeqNumber),
        slot: Slot,
        mut came: impl FnMut(Instant),
    ) {
        let from = self.index(from).unwrap_or(0);
        let Some(end) = self.index(next) else { return };
        let end = end.min(self.fates.len());
        for fate in self.fates.range_mut(from.min(end)..end) {
            if fate.carriers & !fate.displaced & slot.bit() == 0 {
                continue;
            }
            if !fate.done
                && fate.times == 1
                && let Some((_, age)) = fate.left(now)
            {
                came(now - age);
            }
            fate.done = true;
        }
    }

    /// The peer has everything from `from` to before `next`. Tells `came` of what left once, and so came by the link it left on: when
    /// it left.
    pub(crate) fn on_delivered(
        &mut self,
        now: Instant,
        from: SeqNumber,
        next: SeqNumber,
        mut came: impl FnMut(Slot, Instant),
    ) {
        let (Some(from), Some(end)) = (self.index(from), self.index(next)) else { return };
        let end = end.min(self.fates.len());
        for fate in self.fates.range_mut(from.min(end)..end) {
            if !fate.done
                && fate.times == 1
                && let Some((slot, age)) = fate.left(now)
            {
                came(slot, now - age);
            }
            fate.done = true;
        }
    }

    /// The first number that is not done with.
    pub(crate) const fn first(&self) -> SeqNumber {
        self.first
    }

    /// `seq` is not worth anything any more.
    pub(crate) fn give_up(&mut self, seq: SeqNumber) {
        if let Some(index) = self.index(seq) {
            if index >= self.fates.len() {
                self.fates.resize(index + 1, Fate::default());
            }
            if let Some(fate) = self.fates.get_mut(index) {
                fate.done = true;
            }
        }
    }

    /// Lets go of what is done at the beginning; the first number that is not.
    pub(crate) fn settle(&mut self) -> SeqNumber {
        while self.fates.front().is_some_and(|fate| fate.done) {
            self.fates.pop_front();
            self.first = self.first.next();
        }
        self.first
    }

    /// Lets go of everything before `next`.
    pub(crate) fn release(&mut self, next: SeqNumber) {
        if let Some(count) = self.index(next) {
            self.fates.drain(..count.min(self.fates.len()));
            self.first = next;
        }
    }

    /// A link is no more: its place may be given to another. Tells `orphan` what nobody else carried and is not done.
    pub(crate) fn on_gone(&mut self, slot: Slot, mut orphan: impl FnMut(SeqNumber)) {
        for (fate, offset) in self.fates.iter_mut().zip(0_u32..) {
            if fate.carriers & slot.bit() == 0 {
                continue;
            }
            fate.carriers &= !slot.bit();
            fate.displaced &= !slot.bit();
            fate.reported &= !slot.bit();
            fate.last = fate.last.filter(|last| last.0 != slot);
            if fate.carriers == 0 && !fate.done {
                orphan(self.first + offset);
            }
        }
    }

    /// The numbers sent and not done, oldest first.
    pub(crate) fn open(&self) -> impl Iterator<Item = (SeqNumber, &Fate)> + '_ {
        self.fates
            .iter()
            .zip(0_u32..)
            .filter(|(fate, _)| !fate.done && fate.times > 0)
            .map(|(fate, offset)| (self.first + offset, fate))
    }

    fn index(&self, seq: SeqNumber) -> Option<usize> {
        usize::try_from(seq.distance_from(self.first)).ok()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is kept")]
const fn low_bits(now: Instant) -> u32 {
    now.as_micros() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    #[test]
    fn what_a_link_carried_is_done_when_that_link_says_so() {
        let isn = SeqNumber::new(SeqNumber::MASK);
        let (a, b) = (Slot(0), Slot(1));
        let mut ledger = Ledger::new(isn);
        for (offset, slot) in [(0, a), (1, b), (2, a), (3, a)] {
            ledger.on_sent(at(10), isn + offset, slot, true);
        }
        ledger.on_acknowledged(at(20), (isn, isn + 3), a, |_| {});
        assert_eq!(ledger.settle(), isn + 1, "what the other link carried is not known of");
        ledger.on_acknowledged(at(20), (isn, isn + 2), b, |_| {});
        assert_eq!(ledger.settle(), isn + 3);
    }

    #[test]
    fn the_packets_of_a_link_that_is_gone_are_orphans_unless_another_carried_them() {
        let isn = SeqNumber::new(7);
        let (a, b) = (Slot(0), Slot(15));
        let mut ledger = Ledger::new(isn);
        ledger.on_sent(at(1), isn, a, true);
        ledger.on_sent(at(2), isn, b, true);
        ledger.on_sent(at(3), isn + 1, a, true);
        let mut orphans = Vec::new();
        ledger.on_gone(a, |seq| orphans.push(seq));
        assert_eq!(orphans, [isn + 1]);
        assert_eq!(ledger.get(isn).unwrap().carriers, b.bit());
    }
}
