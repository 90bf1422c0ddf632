//! Pacing: how many messages a constant bit rate allows by now. Arithmetic only; time is an argument.

use std::time::Duration;

/// Lets `rate_bps` through, message by message, on an even schedule.
///
/// The n-th byte is due `8·n / rate` after the start, so rounding never adds up. A reader that is held up catches up,
/// but never by more than [`LONGEST_LAG`] worth of messages: the schedule is then moved, not squeezed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    rate_bps: u64,
    origin: Option<Duration>,
    sent_bytes: u64,
}

/// The most a held up reader makes up for.
pub(crate) const LONGEST_LAG: Duration = Duration::from_secs(1);

impl Pacer {
    /// A schedule that begins with the first call of [`due`](Self::due). A rate of 0 counts as 1 bit/s.
    pub(crate) fn new(rate_bps: u64) -> Self {
        Self { rate_bps: rate_bps.max(1), origin: None, sent_bytes: 0 }
    }

    /// At `now` (on any clock): how many messages of `size` bytes may leave, at most `limit`, or how long to wait for one.
    pub(crate) fn due(&mut self, now: Duration, size: usize, limit: usize) -> Due {
        let size = (size as u64).max(1);
        let origin = *self.origin.get_or_insert(now);
        let mut elapsed = now.saturating_sub(origin);
        let lag = elapsed.saturating_sub(self.time_of(self.sent_bytes));
        if lag > LONGEST_LAG {
            let skipped = lag - LONGEST_LAG;
            self.origin = Some(origin + skipped);
            elapsed -= skipped;
        }
        // Message k (from 0) is due when k·size bytes' time has passed.
        let allowed = self.bytes_by(elapsed) / size + 1;
        let ready = allowed.saturating_sub(self.sent_bytes.div_ceil(size));
        if ready == 0 {
            let next = self.time_of(self.sent_bytes.div_ceil(size) * size);
            return Due::Wait(next.saturating_sub(elapsed).max(Duration::from_micros(1)));
        }
        Due::Now(usize::try_from(ready).unwrap_or(usize::MAX).min(limit))
    }

    /// Counts bytes that have left.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(self.rate_bps);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn bytes_by(&self, elapsed: Duration) -> u64 {
        u64::try_from(elapsed.as_nanos() * u128::from(self.rate_bps) / 8_000_000_000).unwrap_or(u64::MAX)
    }
}

/// What the schedule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// So many messages may leave (at least one, unless the limit is 0).
    Now(usize),
    /// None yet; the next one after this long.
    Wait(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_message_leaves_at_once_and_the_next_after_its_time() {
        let mut pacer = Pacer::new(8_000_000); // 1000 bytes a millisecond
        let start = Duration::from_secs(77);
        assert_eq!(pacer.due(start, 1000, 64), Due::Now(1));
        pacer.sent(1000);
        assert_eq!(pacer.due(start, 1000, 64), Due::Wait(MILLISECOND));
        assert_eq!(pacer.due(start + MILLISECOND / 2, 1000, 64), Due::Wait(MILLISECOND / 2));
        assert_eq!(pacer.due(start + MILLISECOND, 1000, 64), Due::Now(1));
    }

    #[test]
    fn a_late_reader_catches_up_within_the_limit() {
        let mut pacer = Pacer::new(8_000_000);
        assert_eq!(pacer.due(Duration::ZERO, 1000, 64), Due::Now(1));
        pacer.sent(1000);
        assert_eq!(pacer.due(MILLISECOND * 10, 1000, 64), Due::Now(10));
        assert_eq!(pacer.due(MILLISECOND * 10, 1000, 4), Due::Now(4));
    }

    #[test]
    fn a_reader_held_up_for_long_does_not_squeeze_all_of_it_out() {
        let mut pacer = Pacer::new(8_000_000);
        pacer.due(Duration::ZERO, 1000, 1);
        let Due::Now(burst) = pacer.due(Duration::from_secs(60), 1000, usize::MAX) else {
            panic!("a late message waits")
        };
        assert_eq!(burst, 1001, "one second's worth and the one that is due now");
    }

    #[test]
    fn rounding_does_not_add_up_over_an_hour() {
        let mut pacer = Pacer::new(7_777_777);
        let mut now = Duration::ZERO;
        let mut bytes = 0_u64;
        while now < Duration::from_secs(3600) {
            match pacer.due(now, 1316, 64) {
                Due::Now(count) => {
                    pacer.sent(1316 * count);
                    bytes += 1316 * count as u64;
                }
                Due::Wait(span) => now += span.max(MILLISECOND * 5),
            }
        }
        let ideal = 7_777_777 / 8 * 3600;
        assert!(bytes.abs_diff(ideal) < 10_000, "{bytes} bytes against {ideal}");
    }

    #[test]
    fn a_rate_of_nothing_is_a_bit_a_second_and_no_division_by_zero() {
        let mut pacer = Pacer::new(0);
        assert_eq!(pacer.due(Duration::ZERO, 1, 1), Due::Now(1));
        pacer.sent(1);
        assert_eq!(pacer.due(Duration::ZERO, 1, 1), Due::Wait(Duration::from_secs(8)));
    }
}
