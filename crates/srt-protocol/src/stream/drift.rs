//! Clock drift between the ends (draft §4.7).
//!
//! Every ACKACK is a sample of how late the peer's stamps come. A block of 1000 is averaged, which takes the jitter
//! out; on a slow stream a block ends with fewer, after 10 s. The first block is the reference; what later blocks differ
//! from it by is drift, and is followed in steps of at most 1 ms, at most one a second.
//!
//! libsrt: corrects a whole block's drift at once (`sync`ed with the 5 ms rule of `utilities.h: DriftTracer`), and takes
//! the one packet of the handshake as reference, so that one late packet there shifts the play time after 10 s; its block
//! is 1000 samples however long they take.

use crate::time::{Instant, Micros};

/// Samples averaged into one reading.
const BLOCK: u32 = 1000;
/// After this long fewer do: with ACKs every 10 ms it is as long as a whole block takes.
const BLOCK_PERIOD: Micros = Micros::from_secs(10);
/// But so many at least: of 5 ms of jitter their mean still shows 0.1 ms.
const BLOCK_LEAST: u32 = 200;
/// Time between two steps.
const STEP_PERIOD: Micros = Micros::from_secs(1);
/// The largest step, in µs.
const STEP_MAX: i64 = 1000;

/// Averages drift samples of one link and tells, step by step, the correction to apply.
#[derive(Clone, Debug, Default)]
pub struct DriftTracer {
    sum: i64,
    count: u32,
    begun: Instant,
    reference: Option<i64>,
    target: i64,
    applied: i64,
    stepped: Instant,
}

impl DriftTracer {
    /// Takes a sample, in µs; tells the new correction where it changes.
    pub fn sample(&mut self, now: Instant, offset: i64) -> Option<i64> {
        if self.count == 0 {
            self.begun = now;
        }
        self.sum = self.sum.saturating_add(offset);
        self.count += 1;
        let long = self.count >= BLOCK_LEAST && now.saturating_since(self.begun) >= BLOCK_PERIOD;
        if self.count == BLOCK || long {
            let mean = self.sum / i64::from(self.count);
            (self.sum, self.count) = (0, 0);
            match self.reference {
                None => self.reference = Some(mean),
                Some(reference) => self.target = mean.saturating_sub(reference),
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
