//! The queue on the way, read off the round trips the receiver tells.

use srt_protocol::time::{Instant, Micros};

/// What SRT assumes before it has measured anything; no measurement.
const ASSUMED_US: (u64, u64) = (100_000, 50_000);
/// A round trip longer than this is not believed.
const LONGEST_US: u64 = 20_000_000;
/// The shortest round trip counts for between one and two of these.
const BASE_HALF: Micros = Micros::from_secs(5);
/// A sample this close to the smoothed round trip leaves it as it is.
const SAME_US: f64 = 16.0;
/// Samples the least of which is the signal: at least, and where there is much jitter.
const CALM: usize = 3;
const NOISY: usize = 8;
/// Until so many samples it is not known how much jitter there is.
const UNKNOWN: usize = 32;
/// Jitter above this is worth a wider look, one sample for each.
const NOISE_STEP_US: f64 = 2_500.0;
/// And none that left so long before the last: where the queue drops ACKACKs samples are few.
const LOOKED_BACK: Micros = Micros::from_millis(150);
/// Samples kept: 1.3 s of reports.
const TRAIL: usize = 128;
/// Between the ACKACK's arrival at the receiver and the next ACK: half of 10 ms on average.
const TICK: Micros = Micros::from_millis(5);

/// One reading of the way: what left at `left` needed `rtt_us` there and back. In the trail the least of a few samples, so
/// without most of the jitter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) left: Instant,
    pub(super) rtt_us: f64,
}

/// Undoes the receiver's smoothing, keeps the shortest round trip of late and the last second of readings.
#[derive(Clone, Debug)]
pub(super) struct RoundTrip {
    /// Smoothed round trip and variance of the last report.
    told: Option<(f64, f64)>,
    samples: [Reading; NOISY],
    sampled: usize,
    noise_us: f64,
    /// Shortest of this half window and of the one before.
    base_us: (f64, f64),
    half_began: Instant,
    /// The shortest began with one of our own.
    hinted: bool,
    trail: [Reading; TRAIL],
    readings: usize,
}

impl RoundTrip {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            told: None,
            samples: [Reading::default(); NOISY],
            sampled: 0,
            noise_us: 0.0,
            base_us: (f64::MAX, f64::MAX),
            half_began: now,
            hinted: false,
            trail: [Reading::default(); TRAIL],
            readings: 0,
        }
    }

    /// Takes a report; true where it held a new sample.
    pub(super) fn on_report(&mut self, now: Instant, rtt: Micros, variance: Micros) -> bool {
        let (rtt_us, variance_us) = (rtt.as_micros(), variance.as_micros());
        if rtt_us == 0 || rtt_us > LONGEST_US || (rtt_us, variance_us) == ASSUMED_US {
            return false;
        }
        let told = (rtt_us as f64, variance_us.min(LONGEST_US) as f64);
        let sample = match self.told.replace(told) {
            None => told.0,
            // The same again: a way without any jitter, or no sample since.
            Some(before) if before == told => match self.recent(1).next() {
                Some(last) if (last.rtt_us - told.0).abs() < SAME_US => last.rtt_us,
                _ => return false,
            },
            Some(before) => unsmoothed(before, told),
        };
        if sample < 1.0 {
            return false;
        }
        let sample = sample.min(LONGEST_US as f64);
        self.on_sample(now, now - Micros::from_micros(whole(sample) as u64) - TICK, sample);
        true
    }

    /// What left at `left` was answered at once: a round trip measured here. True where that can be.
    pub(super) fn on_answer(&mut self, now: Instant, left: Instant) -> bool {
        let rtt_us = now.saturating_since(left).as_micros();
        let possible = (1..=LONGEST_US).contains(&rtt_us);
        if possible {
            self.on_sample(now, left, rtt_us as f64);
        }
        possible
    }

    fn on_sample(&mut self, now: Instant, left: Instant, sample: f64) {
        let before = self.recent(1).next().map_or(sample, |last| last.rtt_us);
        let earlier = self.recent(2).last().map_or(before, |last| last.rtt_us);
        // The second difference: a queue that grows evenly is no jitter. 1.7 times that of independent samples is the first.
        let off = (sample - 2.0 * before + earlier).abs() / 1.7;
        let weight = (self.sampled as f64).clamp(2.0, 16.0);
        self.noise_us += (off - self.noise_us) / weight;
        self.samples[self.sampled % NOISY] = Reading { left, rtt_us: sample };
        self.sampled += 1;

        // The shortest needs two witnesses: what undoing the smoothing got wrong is not believed for ten seconds. And more where
        // there is jitter: half a second's luckiest sample is not the way.
        let looked_at = CALM + whole((self.noise_us / NOISE_STEP_US).min((NOISY - CALM) as f64));
        let witnesses = if self.sampled < UNKNOWN { NOISY } else { looked_at.div_ceil(2) };
        let witnessed = self.recent(witnesses).map(|sample| sample.rtt_us).fold(sample, f64::max);
        if now.saturating_since(self.half_began) >= BASE_HALF {
            self.base_us = (witnessed, self.base_us.0);
            self.half_began = now;
        }
        self.base_us.0 = match (self.sampled < NOISY, self.hinted) {
            (true, true) => self.base_us.0,
            (true, false) => witnessed,
            (false, _) => self.base_us.0.min(witnessed),
        };

        let late_enough =
            self.recent(looked_at).filter(|sample| left.saturating_since(sample.left) <= LOOKED_BACK);
        let least = late_enough.min_by(|a, b| a.rtt_us.total_cmp(&b.rtt_us));
        self.trail[self.readings % TRAIL] = least.unwrap_or_default();
        self.readings += 1;
    }

    /// Takes a round trip of our own as the shortest so far.
    pub(super) fn on_round_trip(&mut self, now: Instant, rtt: Micros) {
        let rtt_us = rtt.as_micros();
        if (1..=LONGEST_US).contains(&rtt_us) {
            self.base_us.0 = self.base_us.0.min(rtt_us as f64);
            self.half_began = now;
            self.hinted = true;
        }
    }

    /// Forgets the shortest: what was measured last is the way now.
    pub(super) fn rebase(&mut self, now: Instant) {
        let shortest = self.recent(NOISY).map(|sample| sample.rtt_us).fold(f64::MAX, f64::min);
        if shortest < f64::MAX {
            self.base_us = (shortest, f64::MAX);
            self.half_began = now;
        }
    }

    /// The last reading.
    pub(super) fn newest(&self) -> Option<Reading> {
        self.trail().next()
    }

    /// Readings, newest first.
    pub(super) fn trail(&self) -> impl Iterator<Item = Reading> + '_ {
        (1..=self.readings.min(TRAIL)).map(|back| self.trail[(self.readings - back) % TRAIL])
    }

    /// The shortest round trip of late; nothing before there was one.
    pub(super) fn base_us(&self) -> f64 {
        let base = self.base_us.0.min(self.base_us.1);
        if base < f64::MAX { base } else { 0.0 }
    }

    /// What a reading has above the shortest.
    pub(super) fn queue_us(&self, reading: Reading) -> f64 {
        (reading.rtt_us - self.base_us()).max(0.0)
    }

    /// The last sample, jitter and all.
    pub(super) fn last(&self) -> Option<Reading> {
        self.recent(1).next()
    }

    /// What the last sample has above the shortest, jitter and all.
    pub(super) fn last_queue_us(&self) -> f64 {
        self.last().map_or(0.0, |sample| self.queue_us(sample))
    }

    /// How far one sample usually lies from the next.
    pub(super) const fn noise_us(&self) -> f64 {
        self.noise_us
    }

    /// The smoothed round trip as last told; what SRT assumes where nothing is known.
    pub(super) fn smoothed_us(&self) -> f64 {
        match (self.told, self.base_us()) {
            (Some((rtt, _)), _) => rtt,
            (None, base) if base > 0.0 => base,
            (None, _) => ASSUMED_US.0 as f64,
        }
    }

    fn recent(&self, count: usize) -> impl Iterator<Item = Reading> + '_ {
        (1..=self.sampled.min(count).min(NOISY)).map(|back| self.samples[(self.sampled - back) % NOISY])
    }
}

/// The sample that took the receiver's smoothed round trip and variance from `before` to `after`.
///
/// SRT smooths by an eighth and the variance by a quarter (draft §4.10), so one sample can be had back exactly, and the variance
/// tells whether it was one: between two ACKs two ACKACKs may have arrived, or an ACK was lost. Then it is the mean of those.
fn unsmoothed(before: (f64, f64), after: (f64, f64)) -> f64 {
    const EXACT_US: f64 = 6.0;
    let mut best = (f64::MAX, after.0);
    let mut kept = 1.0;
    for samples in 1..=4 {
        kept *= 7.0 / 8.0;
        let sample = before.0 + (after.0 - before.0) / (1.0 - kept);
        let (mut smoothed, mut variance) = before;
        for _ in 0..samples {
            variance = (variance * 3.0 + (smoothed - sample).abs()) / 4.0;
            smoothed = (smoothed * 7.0 + sample) / 8.0;
        }
        let error = (variance - after.1).abs();
        if error < best.0 {
            best = (error, sample);
        }
        if error < EXACT_US {
            break;
        }
    }
    best.1
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and below zero is zero"
)]
fn whole(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As SRT's receiver smooths.
    struct Smoothing {
        rtt: u64,
        variance: u64,
    }

    impl Smoothing {
        fn sample(&mut self, us: u64) {
            self.variance = (self.variance * 3 + self.rtt.abs_diff(us)) / 4;
            self.rtt = (self.rtt * 7 + us) / 8;
        }

        fn told(&self) -> (f64, f64) {
            (self.rtt as f64, self.variance as f64)
        }
    }

    #[test]
    fn a_sample_is_had_back_from_what_it_did() {
        let mut receiver = Smoothing { rtt: 50_000, variance: 3_000 };
        for sample in [50_000, 61_000, 48_123, 90_000, 40_000] {
            let before = receiver.told();
            receiver.sample(sample);
            assert!((unsmoothed(before, receiver.told()) - sample as f64).abs() < 10.0, "{sample}");
        }
    }

    #[test]
    fn two_samples_between_reports_are_told_from_one() {
        let mut receiver = Smoothing { rtt: 140_000, variance: 9_000 };
        let before = receiver.told();
        receiver.sample(100_000);
        receiver.sample(98_000);
        let sample = unsmoothed(before, receiver.told());
        assert!((97_000.0..=101_000.0).contains(&sample), "{sample}");
    }

    #[test]
    fn one_wrong_report_makes_no_base() {
        let mut way = RoundTrip::new(Instant::from_micros(0));
        for n in 0..100 {
            let rtt = if n == 50 { 12_000 } else { 40_000 + n % 2 };
            way.on_report(Instant::from_micros(n * 10_000), Micros::from_micros(rtt), Micros::from_millis(1));
        }
        assert!(way.base_us() > 25_000.0, "{}", way.base_us());
    }

    #[test]
    fn the_base_of_a_longer_way_is_learned() {
        let mut way = RoundTrip::new(Instant::from_micros(0));
        let mut receiver = Smoothing { rtt: 40_000, variance: 0 };
        for n in 0..2_500 {
            receiver.sample(if n < 1_000 { 40_000 } else { 100_000 } + n % 3);
            let at = Instant::from_micros(n * 10_000);
            way.on_report(at, Micros::from_micros(receiver.rtt), Micros::from_micros(receiver.variance));
        }
        assert!((way.base_us() - 100_000.0).abs() < 200.0, "{}", way.base_us());
    }

    #[test]
    fn what_cannot_be_is_no_sample() {
        let mut way = RoundTrip::new(Instant::from_micros(0));
        for us in [0, u64::from(u32::MAX), u64::MAX] {
            assert!(!way.on_report(Instant::from_micros(5), Micros::from_micros(us), Micros::MAX));
        }
        assert!(!way.on_report(Instant::from_micros(5), Micros::from_millis(100), Micros::from_millis(50)));
        assert!(way.newest().is_none());
    }
}
