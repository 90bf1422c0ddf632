//! What left on the link, as a running total that can be asked about any point of the last five seconds.

use srt_protocol::time::{Instant, Micros};

/// Width of a slot.
const SLOT_US: u64 = 10_000;
/// Slots kept: 5.12 s.
const SLOTS: usize = 512;
/// Over this many slots without a packet a sparse stream is taken as even; a longer pause was a pause.
const SPREAD_SLOTS: u64 = 10;

/// Bytes sent since the beginning, by time. Between two packets of a slow link the total grows evenly, as a paced link's
/// does, so that a short span of it is not told in whole packets.
#[derive(Clone, Debug)]
pub(super) struct History {
    total: u64,
    newest: u64,
    /// The total at the end of each slot, by slot number modulo [`SLOTS`].
    ends: Box<[u64]>,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self { total: 0, newest: now.as_micros() / SLOT_US, ends: vec![0; SLOTS].into_boxed_slice() }
    }

    /// Adds a packet; a clock that went back adds to the newest slot.
    pub(super) fn add(&mut self, now: Instant, bytes: u64) {
        let slot = (now.as_micros() / SLOT_US).max(self.newest);
        let passed = slot - self.newest;
        let even = (2..=SPREAD_SLOTS).contains(&passed);
        for step in passed.saturating_sub(SLOTS as u64)..passed {
            let grown = if even { bytes * step / passed } else { 0 };
            let at = self.newest + step;
            *self.end_mut(at) = self.total + grown;
        }
        self.newest = slot;
        self.total = self.total.saturating_add(bytes);
        *self.end_mut(slot) = self.total;
    }

    /// Bytes sent until `at`; until the oldest point kept where that is later.
    pub(super) fn until(&self, at: Instant) -> f64 {
        let (slot, within) = (at.as_micros() / SLOT_US, at.as_micros() % SLOT_US);
        if slot > self.newest {
            return as_f64(self.total);
        }
        let oldest = self.newest.saturating_sub(SLOTS as u64 - 1);
        if slot <= oldest {
            return as_f64(self.end(oldest));
        }
        let (before, after) = (as_f64(self.end(slot - 1)), as_f64(self.end(slot)));
        before + (after - before) * as_f64(within) / as_f64(SLOT_US)
    }

    /// Bytes sent from `from` until `to`.
    pub(super) fn between(&self, from: Instant, to: Instant) -> f64 {
        (self.until(to) - self.until(from)).max(0.0)
    }

    /// Bytes per second over the `span` before `now`.
    pub(super) fn rate(&self, now: Instant, span: Micros) -> f64 {
        self.between(now - span, now) * 1e6 / as_f64(span.as_micros().max(1))
    }

    fn end(&self, slot: u64) -> u64 {
        self.ends.get(Self::index(slot)).copied().unwrap_or(self.total)
    }

    fn end_mut(&mut self, slot: u64) -> &mut u64 {
        &mut self.ends[Self::index(slot)]
    }

    fn index(slot: u64) -> usize {
        usize::try_from(slot % SLOTS as u64).unwrap_or_default()
    }
}

fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn an_even_stream_is_told_evenly() {
        let mut history = History::new(ms(0));
        for n in 0..1_000 {
            history.add(ms(n), 100);
        }
        assert!((history.between(ms(403), ms(777)) - 37_400.0).abs() < 100.0);
    }

    #[test]
    fn a_slow_stream_is_even_between_its_packets() {
        let mut history = History::new(ms(0));
        for n in 0..100 {
            history.add(ms(n * 40), 1_000);
        }
        assert!((history.between(ms(2_010), ms(2_070)) - 1_500.0).abs() < 100.0);
    }

    #[test]
    fn a_pause_is_a_pause() {
        let mut history = History::new(ms(0));
        history.add(ms(5), 1_000);
        history.add(ms(1_005), 1_000);
        assert!(history.between(ms(20), ms(995)) < 1.0);
        assert!(history.rate(ms(900), Micros::from_millis(500)) < 1.0);
    }

    #[test]
    fn time_may_jump_either_way() {
        let mut history = History::new(ms(1_000));
        history.add(ms(10), 1_000);
        history.add(Instant::from_micros(u64::MAX), 1_000);
        history.add(ms(0), 1_000);
        assert!((history.until(Instant::from_micros(u64::MAX)) - 3_000.0).abs() < 2_000.1);
        assert!((history.until(ms(0)) - 1_000.0).abs() < 1_000.1);
    }
}
