//! Clock drift between the ends (draft §4.7).
//!
//! Every ACKACK is a sample of how late the peer's stamps come. A block of 1000 is averaged, which takes the jitter
//! out; on a slow stream a block ends with fewer, after 10 s. The first block is the reference; what later blocks differ
//! from it by, more than chance explains, is drift, and is followed in steps of at most 1 ms, at most one a second.
//!
//! libsrt: corrects a whole block's drift at once (`sync`ed with the 5 ms rule of `utilities.h: DriftTracer`), and takes
//! the one packet of the handshake as reference, so that one late packet there shifts the play time after 10 s; its block
//! is 1000 samples however long they take.

use crate::time::{Instant, Micros};

/// Samples averaged into one reading.
const BLOCK: u32 = 1000;
/// After this long fewer do: with ACKs every 10 ms it is as long as a whole block takes.
const BLOCK_PERIOD: Micros = Micros::from_secs(10);
/// But so many at least, so that their mean says something.
const BLOCK_LEAST: u32 = 200;
/// Time between two steps.
const STEP_PERIOD: Micros = Micros::from_secs(1);
/// The largest step, in µs.
const STEP_MAX: i64 = 1000;

/// Averages drift samples of one link and tells, step by step, the correction to apply.
#[derive(Clone, Debug, Default)]
pub struct DriftTracer {
    block: Block,
    begun: Instant,
    reference: Option<i64>,
    target: i64,
    applied: i64,
    stepped: Instant,
}

impl DriftTracer {
    /// Takes a sample, in µs; tells the new correction where it changes.
    pub fn sample(&mut self, now: Instant, offset: i64) -> Option<i64> {
        if self.block.count == 0 {
            self.begun = now;
        }
        self.block.take(offset);
        let long = self.block.count >= BLOCK_LEAST && now.saturating_since(self.begun) >= BLOCK_PERIOD;
        if self.block.count == BLOCK || long {
            let (mean, chance) = std::mem::take(&mut self.block).end();
            match self.reference {
                None => self.reference = Some(mean),
                Some(reference) => {
                    let drift = mean.saturating_sub(reference);
                    if drift.abs_diff(self.target) > chance {
                        self.target = drift;
                    }
                }
            }
        }
        if self.applied == self.target || now.saturating_since(self.stepped) < STEP_PERIOD {
            return None;
        }
        self.stepped = now;
        let step = self.target.saturating_sub(self.applied).clamp(-STEP_MAX, STEP_MAX);
        self.applied += step;
        Some(self.applied)
    }

    /// The correction in force, in µs.
    #[must_use]
    pub const fn applied(&self) -> i64 {
        self.applied
    }
}

/// Samples that are averaged.
#[derive(Clone, Debug, Default)]
struct Block {
    count: u32,
    /// The first one; sums are of what the others differ from it by, so that they stay small.
    first: i64,
    sum: i64,
    squares: u64,
}

impl Block {
    fn take(&mut self, offset: i64) {
        if self.count == 0 {
            self.first = offset;
        }
        self.count += 1;
        let apart = offset.saturating_sub(self.first).clamp(-APART_MAX, APART_MAX);
        self.sum += apart;
        self.squares += apart.unsigned_abs().pow(2);
    }

    /// The mean, and how far chance alone may take two such means from one another: five times what it usually does.
    fn end(self) -> (i64, u64) {
        let count = i64::from(self.count.max(1));
        let mean = self.sum / count;
        let variance = (self.squares / count.unsigned_abs()).saturating_sub(mean.unsigned_abs().pow(2));
        let chance = (variance * 2 / count.unsigned_abs()).isqrt() * 5;
        (self.first.saturating_add(mean), chance)
    }
}

/// Samples further apart are not believed, and 1000 squares of this fit: 60 s.
const APART_MAX: i64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn a_constant_offset_is_not_drift() {
        let mut tracer = DriftTracer::default();
        assert!((0..5_000).all(|n| tracer.sample(at(n * 10), 7_000).is_none()));
    }

    #[test]
    fn drift_of_100_ppm_is_followed_in_steps_of_at_most_a_millisecond() {
        // Between samples: 10 ms as on a busy stream, and 100 ms as on a slow one.
        for (period_ms, samples, most) in [(10, 60_000, 2_500), (100, 6_000, 4_500)] {
            let mut tracer = DriftTracer::default();
            let mut last = 0;
            for n in 0..samples {
                let time_ms = n * period_ms;
                let late_us = i64::try_from(time_ms / 10).unwrap(); // 100 ppm: 1 µs more every 10 ms
                if let Some(applied) = tracer.sample(at(time_ms), late_us) {
                    assert!((applied - last).abs() <= 1_000);
                    last = applied;
                }
            }
            let behind = 60_000 - last;
            assert!((0..=most).contains(&behind), "{behind} µs behind");
        }
    }

    #[test]
    fn a_jump_is_followed_gently() {
        let mut tracer = DriftTracer::default();
        for n in 0..1_000 {
            tracer.sample(at(n * 10), 0);
        }
        let steps: Vec<i64> = (1_000..4_000).filter_map(|n| tracer.sample(at(n * 10), -3_500)).collect();
        assert_eq!(steps, [-1_000, -2_000, -3_000, -3_500]);
    }
}
