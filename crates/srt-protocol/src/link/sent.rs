//! What this link carried, and when.

use std::collections::VecDeque;

use crate::{
    time::{Instant, Micros},
    types::SeqNumber,
};

/// One packet as this link carried it.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// When it left last, in µs, low 32 bits: entries live for seconds, this wraps after 71 minutes.
    last_us: u32,
    /// How often it left; 0 for a number this link did not carry.
    times: u8,
}

/// Times of transmission by sequence number, from the first not acknowledged to the last sent.
#[derive(Debug)]
pub(crate) struct SentLog {
    first: SeqNumber,
    entries: VecDeque<Entry>,
    /// When the last packet left.
    latest: Instant,
    /// The highest number this link carried, where it carried any, and when that left.
    last_carried: Option<SeqNumber>,
    carried_at: Instant,
    /// The usual time between two new packets.
    gap: Micros,
}

impl SentLog {
    pub(crate) const fn new(first: SeqNumber) -> Self {
        Self {
            first,
            entries: VecDeque::new(),
            latest: Instant::from_micros(0),
            last_carried: None,
            carried_at: Instant::from_micros(0),
            gap: Micros::ZERO,
        }
    }

    /// Number after the highest this link carried (or was told to pass over).
    pub(crate) fn next(&self) -> SeqNumber {
        self.first + u32::try_from(self.entries.len()).unwrap_or_default()
    }

    /// First number not acknowledged.
    pub(crate) const fn first(&self) -> SeqNumber {
        self.first
    }

    /// Numbers from the first not acknowledged to the last sent.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes that `seq` left at `now`; numbers between the last one and this were not carried here.
    pub(crate) fn record(&mut self, now: Instant, seq: SeqNumber) {
        self.pass_over(seq);
        self.latest = now;
        if self.last_carried.is_none_or(|last| seq.is_after(last)) {
            let gap = now.saturating_since(self.carried_at).min(GAP_MAX);
            if self.last_carried.is_some() {
                self.gap = (self.gap * 7 + gap) / 8;
            }
            (self.last_carried, self.carried_at) = (Some(seq), now);
        }
        if let Some(entry) = self.entry_mut(seq) {
            entry.last_us = low_bits(now);
            entry.times = entry.times.saturating_add(1);
        }
    }

    /// Notes that everything up to and including `seq` is no more to be sent for the first time on this link.
    pub(crate) fn pass_over(&mut self, seq: SeqNumber) {
        let Ok(index) = usize::try_from(seq.distance_from(self.first)) else { return };
        if index >= self.entries.len() {
            self.entries.resize(index + 1, Entry::default());
        }
    }

    /// When the last new packet left.
    pub(crate) const fn carried_at(&self) -> Instant {
        self.carried_at
    }

    /// The usual time between two new packets.
    pub(crate) const fn gap(&self) -> Micros {
        self.gap
    }

    /// The highest number this link carried, where it is not acknowledged.
    pub(crate) fn last_carried(&self) -> Option<SeqNumber> {
        self.last_carried.filter(|last| !last.is_before(self.first))
    }

    /// The numbers at the beginning that this link was told to pass over.
    pub(crate) fn passed_over(&self) -> Option<(SeqNumber, SeqNumber)> {
        let count = self.entries.iter().take_while(|entry| entry.times == 0).count();
        Some((self.first, self.first + u32::try_from(count.checked_sub(1)?).ok()?))
    }

    /// How often `seq` left on this link.
    pub(crate) fn times(&self, seq: SeqNumber) -> u8 {
        self.entry(seq).map_or(0, |entry| entry.times)
    }

    /// How long ago `seq` left last; `None` where this link did not carry it.
    pub(crate) fn age(&self, now: Instant, seq: SeqNumber) -> Option<Micros> {
        let entry = self.entry(seq).filter(|entry| entry.times > 0)?;
        Some(Micros::from_micros(u64::from(low_bits(now).wrapping_sub(entry.last_us))))
    }

    /// When `seq` left last; `None` where this link did not carry it.
    pub(crate) fn left_at(&self, seq: SeqNumber) -> Option<Instant> {
        Some(self.latest - self.age(self.latest, seq)?)
    }

    /// Forgets everything before `next`.
    pub(crate) fn release(&mut self, next: SeqNumber) {
        let Ok(count) = usize::try_from(next.distance_from(self.first)) else { return };
        self.entries.drain(..count.min(self.entries.len()));
        self.first = next;
        if self.entries.is_empty() && self.entries.capacity() > 1024 {
            self.entries = VecDeque::new();
        }
    }

    fn entry(&self, seq: SeqNumber) -> Option<&Entry> {
        self.entries.get(usize::try_from(seq.distance_from(self.first)).ok()?)
    }

    fn entry_mut(&mut self, seq: SeqNumber) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(seq.distance_from(self.first)).ok()?)
    }
}

/// A longer time between two packets is a pause.
const GAP_MAX: Micros = Micros::from_millis(50);

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is kept")]
const fn low_bits(now: Instant) -> u32 {
    now.as_micros() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_knows_what_it_carried_and_what_it_did_not() {
        let isn = SeqNumber::new(0x7FFF_FFFF);
        let mut sent = SentLog::new(isn);
        sent.record(Instant::from_micros(10), isn);
        sent.record(Instant::from_micros(20), isn + 3);
        assert_eq!(sent.age(Instant::from_micros(50), isn), Some(Micros::from_micros(40)));
        assert_eq!(sent.age(Instant::from_micros(50), isn + 1), None);
        assert_eq!((sent.times(isn + 3), sent.times(isn + 2)), (1, 0));
        sent.record(Instant::from_micros(60), isn + 3);
        assert_eq!(sent.times(isn + 3), 2);
        assert_eq!(sent.next(), isn + 4);
        sent.release(isn + 3);
        assert_eq!((sent.first(), sent.len(), sent.times(isn)), (isn + 3, 1, 0));
        sent.release(isn + 10);
        assert_eq!((sent.next(), sent.len()), (isn + 10, 0));
    }
}
