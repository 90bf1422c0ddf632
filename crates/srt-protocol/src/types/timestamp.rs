//! Packet timestamps: 32 bits of microseconds, wrapping.

use core::fmt;

use crate::time::Micros;

/// Time in a packet header: microseconds since the sender's connection began, 32 bits, wrapping every 71.6
/// minutes (draft §3).
///
/// Not `Ord`, for it lies on a circle. A data packet bears its origin time, which a resend does not change; a
/// control packet the time it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamp(u32);

impl Timestamp {
    /// Once round the circle: 2^32 µs, about 71 minutes and 35 seconds.
    pub const WRAP: Micros = Micros::from_micros(1 << 32);

    /// The timestamp of this many microseconds.
    #[inline]
    pub const fn new(micros: u32) -> Self {
        Self(micros)
    }

    /// The bare number of microseconds.
    #[inline]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// What stands in a packet `elapsed` after the connection began: the lower 32 bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the wire has the lower 32 bits")]
    pub const fn from_elapsed(elapsed: Micros) -> Self {
        Self(elapsed.as_micros() as u32)
    }

    /// Signed microseconds from `earlier` to `self`, the shorter way round: right for times within 35 minutes
    /// of each other.
    #[inline]
    pub const fn distance_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} µs", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_timestamp_starts_again_after_71_minutes() {
        let just_before = Timestamp::from_elapsed(Micros::from_micros((1 << 32) - 1));
        let just_after = Timestamp::from_elapsed(Micros::from_micros((1 << 32) + 1));
        assert_eq!(just_before, Timestamp::new(u32::MAX));
        assert_eq!(just_after, Timestamp::new(1));
        assert_eq!(just_after.distance_from(just_before), 2);
        assert_eq!(just_before.distance_from(just_after), -2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_distance_is_the_time_between(began in 0..u64::MAX / 2, later in 0..1_u64 << 31) {
            let first = Timestamp::from_elapsed(Micros::from_micros(began));
            let second = Timestamp::from_elapsed(Micros::from_micros(began + later));
            prop_assert_eq!(i64::from(second.distance_from(first)), i64::try_from(later).unwrap());
        }
    }
}
