//! Clock drift between the ends (draft §4.7).
//!
//! Every ACKACK is a sample of how late the peer's stamps come. A block of 1000 is averaged, which takes the jitter
//! out. The first block is the reference; what later blocks differ from it by is drift, and is followed in steps of
//! at most 1 ms, at most one for every 100 samples.
//!
//! libsrt: corrects a whole block's drift at once (`sync`ed with the 5 ms rule of `utilities.h: DriftTracer`), and takes
//! the one packet of the handshake as reference, so that one late packet there shifts the play time after 10 s.

/// Samples averaged into one reading.
const BLOCK: u32 = 1000;
/// Samples between two steps.
const STEP_SAMPLES: u32 = 100;
/// The largest step, in µs.
const STEP_MAX: i64 = 1000;

/// Averages drift samples of one link and tells, step by step, the correction to apply.
#[derive(Clone, Debug, Default)]
pub struct DriftTracer {
    sum: i64,
    count: u32,
    reference: Option<i64>,
    target: i64,
    applied: i64,
}

impl DriftTracer {
    /// Takes a sample, in µs; tells the new correction where it changes.
    pub fn sample(&mut self, offset: i64) -> Option<i64> {
        self.sum = self.sum.saturating_add(offset);
        self.count += 1;
        if self.count == BLOCK {
            let mean = self.sum / i64::from(BLOCK);
            (self.sum, self.count) = (0, 0);
            match self.reference {
                None => self.reference = Some(mean),
                Some(reference) => self.target = mean.saturating_sub(reference),
            }
        }
        if !self.count.is_multiple_of(STEP_SAMPLES) || self.applied == self.target {
            return None;
        }
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

    #[test]
    fn a_constant_offset_is_not_drift() {
        let mut tracer = DriftTracer::default();
        assert!((0..5_000).all(|_| tracer.sample(7_000).is_none()));
    }

    #[test]
    fn drift_of_100_ppm_is_followed_in_steps_of_at_most_a_millisecond() {
        let mut tracer = DriftTracer::default();
        let mut last = 0;
        for sample in 0..60_000_i64 {
            // 10 ms between samples, 100 ppm: 1 µs more each time
            if let Some(applied) = tracer.sample(sample) {
                assert!((applied - last).abs() <= 1_000);
                last = applied;
            }
        }
        let behind = 60_000 - last;
        assert!((0..=2_500).contains(&behind), "{behind} µs behind");
    }

    #[test]
    fn a_jump_is_followed_gently() {
        let mut tracer = DriftTracer::default();
        for _ in 0..1_000 {
            tracer.sample(0);
        }
        let steps: Vec<i64> = (0..3_000).filter_map(|_| tracer.sample(-3_500)).collect();
        assert_eq!(steps, [-1_000, -2_000, -3_000, -3_500]);
    }
}
