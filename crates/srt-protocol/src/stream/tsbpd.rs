//! TSBPD: when a packet is played (draft §4.5).
//!
//! `play time = time base + timestamp + latency + drift`, where the time base is the peer's time zero on our clock,
//! fixed by the arrival of the accepted conclusion. The 32-bit timestamps are unwrapped against the newest one seen,
//! so a stream may run for ever.

use crate::{
    time::{Instant, Micros},
    types::Timestamp,
};

/// The receiver's play clock.
#[derive(Clone, Debug)]
pub struct Tsbpd {
    /// The peer's time zero on our clock, in µs; before our own beginning of time where it is negative.
    base: i64,
    latency: Micros,
    drift: i64,
    /// The newest timestamp seen and what it unwraps to.
    newest: Timestamp,
    newest_unwrapped: i64,
}

/// Time on the peer's clock since its time zero, in µs, unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerTime(i64);

impl Tsbpd {
    /// A play clock whose peer stamped `timestamp` on the packet that arrived at `arrival`.
    #[must_use]
    pub fn new(arrival: Instant, timestamp: Timestamp, latency: Micros) -> Self {
        let unwrapped = i64::from(timestamp.value());
        Self {
            base: signed(arrival.as_micros()).saturating_sub(unwrapped),
            latency,
            drift: 0,
            newest: timestamp,
            newest_unwrapped: unwrapped,
        }
    }

    /// The latency from origin to play.
    #[must_use]
    pub const fn latency(&self) -> Micros {
        self.latency
    }

    /// The clock drift taken into account now, in µs: positive where the peer's packets come ever later.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }

    /// Sets the clock drift to take into account, in µs.
    pub const fn set_drift(&mut self, drift: i64) {
        self.drift = drift;
    }

    /// Unwraps a timestamp that just came, and remembers it as the newest where it is.
    pub fn observe(&mut self, timestamp: Timestamp) -> PeerTime {
        let time = self.unwrap(timestamp);
        if time.0 > self.newest_unwrapped {
            self.newest = timestamp;
            self.newest_unwrapped = time.0;
        }
        time
    }

    /// Unwraps a timestamp: within ±35 minutes of the newest seen.
    #[must_use]
    pub fn unwrap(&self, timestamp: Timestamp) -> PeerTime {
        PeerTime(self.newest_unwrapped.saturating_add(i64::from(timestamp.distance_from(self.newest))))
    }

    /// When what was stamped `time` was sent, on our clock, as if it had travelled as fast as the first packet did.
    #[must_use]
    pub fn origin(&self, time: PeerTime) -> Instant {
        Instant::from_micros(
            u64::try_from(self.base.saturating_add(time.0).saturating_add(self.drift)).unwrap_or_default(),
        )
    }

    /// When what was stamped `time` is played.
    #[must_use]
    pub fn play_time(&self, time: PeerTime) -> Instant {
        self.origin(time) + self.latency
    }

    /// How late `arrival` is against the stamp, in µs, without the drift taken into account: a drift sample.
    #[must_use]
    pub fn offset(&self, arrival: Instant, time: PeerTime) -> i64 {
        signed(arrival.as_micros()).saturating_sub(self.base).saturating_sub(time.0)
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn play_time_is_origin_plus_latency() {
        let tsbpd =
            Tsbpd::new(Instant::from_micros(5_000_000), Timestamp::new(1_000), Micros::from_millis(120));
        let time = tsbpd.unwrap(Timestamp::new(3_000));
        assert_eq!(tsbpd.origin(time), Instant::from_micros(5_002_000));
        assert_eq!(tsbpd.play_time(time), Instant::from_micros(5_122_000));
    }

    #[test]
    fn time_runs_on_through_many_wraps() {
        let mut tsbpd = Tsbpd::new(Instant::from_micros(1_000), Timestamp::new(u32::MAX - 10), Micros::ZERO);
        let mut now = 1_000_u64;
        for _ in 0..40 {
            now += 1 << 30;
            let stamp = Timestamp::from_elapsed(Micros::from_micros(u64::from(u32::MAX - 10) + now - 1_000));
            let time = tsbpd.observe(stamp);
            assert_eq!(tsbpd.play_time(time), Instant::from_micros(now));
            let old = tsbpd.observe(Timestamp::new(stamp.value().wrapping_sub(500)));
            assert_eq!(
                tsbpd.play_time(old),
                Instant::from_micros(now - 500),
                "an old stamp does not move the newest"
            );
        }
    }
}
