//! When the next packet may leave (draft §5.1): a token bucket, never an interval per packet.

use crate::time::{Instant, Micros};

/// Credit that grows with time, in bytes; each packet spends its size.
///
/// A packet may leave while the credit is not negative, so the bucket may go into debt by one packet. Unspent credit
/// is kept for at most 1 ms, so that an idle stream does not come back as a burst.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Bytes per second; unlimited where it is not given.
    rate: Option<u64>,
    /// Bytes × 10^6.
    credit: i64,
    last: Instant,
}

/// Credit kept at most, as time.
const KEPT_US: i64 = 1_000;
const SECOND_US: i64 = 1_000_000;
/// Rates above this (1 TB/s) are as good as unlimited, and below it the arithmetic cannot overflow.
const RATE_MAX: u64 = 1_000_000_000_000;

impl TokenBucket {
    /// A bucket with a rate in bytes per second; `None` is unlimited.
    #[must_use]
    pub fn new(now: Instant, rate: Option<u64>) -> Self {
        let mut bucket = Self { rate: None, credit: 0, last: now };
        bucket.set_rate(now, rate);
        bucket
    }

    /// Changes the rate; what was earned so far was earned at the old one.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>) {
        if self.rate != rate {
            self.refill(now);
            self.rate = rate.filter(|&rate| rate < RATE_MAX).map(|rate| rate.max(1));
        }
    }

    /// The rate in bytes per second.
    #[must_use]
    pub const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// True where a packet may leave now.
    pub fn ready(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.rate.is_none() || self.credit >= 0
    }

    /// When the next packet may leave; `None` where it may at once.
    #[must_use]
    pub fn ready_at(&self) -> Option<Instant> {
        let rate = i64::try_from(self.rate?).ok()?;
        (self.credit < 0)
            .then(|| self.last + Micros::from_micros(((rate - 1 - self.credit) / rate).unsigned_abs()))
    }

    /// Spends the credit of a packet that left, in bytes.
    pub fn spend(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.credit -= i64::try_from(bytes).unwrap_or(i64::MAX / SECOND_US) * SECOND_US;
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed =
            i64::try_from(now.saturating_since(self.last).as_micros()).unwrap_or(SECOND_US).min(SECOND_US);
        self.last = self.last.max(now);
        if let Some(rate) = self.rate.and_then(|rate| i64::try_from(rate).ok()) {
            self.credit =
                (self.credit.saturating_add(rate.saturating_mul(elapsed))).min(rate.saturating_mul(KEPT_US));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_in(rate: Option<u64>, size: usize, until_us: u64, step_us: u64) -> u64 {
        let mut bucket = TokenBucket::new(Instant::from_micros(0), rate);
        let mut sent = 0;
        for now in (0..until_us).step_by(usize::try_from(step_us).unwrap()) {
            while bucket.ready(Instant::from_micros(now)) && sent < 1_000_000 {
                bucket.spend(size);
                sent += size as u64;
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_kept_whatever_the_steps() {
        for step in [1, 10, 333, 900] {
            let sent = sent_in(Some(1_000_000), 1_000, 1_000_000, step);
            assert!((998_000..=1_003_000).contains(&sent), "{sent} bytes in steps of {step} µs");
        }
    }

    #[test]
    fn an_idle_stream_returns_with_at_most_a_millisecond_of_burst() {
        let mut bucket = TokenBucket::new(Instant::from_micros(0), Some(10_000_000));
        let mut burst = 0;
        while bucket.ready(Instant::from_micros(5_000_000)) {
            bucket.spend(1_000);
            burst += 1;
        }
        assert_eq!(burst, 11);
        assert_eq!(bucket.ready_at(), Some(Instant::from_micros(5_000_100)));
    }

    #[test]
    fn unlimited_is_always_ready() {
        assert_eq!(sent_in(None, 1_000, 1, 1), 1_000_000);
    }

    #[test]
    fn it_is_ready_exactly_when_it_says() {
        let mut bucket = TokenBucket::new(Instant::from_micros(0), Some(3_333_333));
        bucket.spend(1_360);
        let at = bucket.ready_at().unwrap();
        assert!(!bucket.clone().ready(at - Micros::from_micros(1)));
        assert!(bucket.ready(at));
    }
}
