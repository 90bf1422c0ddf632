//! Sequence numbers: 31 bits on a circle.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// Position of a data packet in the stream: 31 bits, wrapping (draft §3.1).
///
/// Deliberately not `Ord`: numbers on a circle have no smallest. Compare with
/// [`distance_from`](Self::distance_from), [`is_after`](Self::is_after) and [`is_before`](Self::is_before),
/// which take the shorter way round and so are right for numbers less than 2^30 apart.
///
/// libsrt: `CSeqNo` (common.h) takes 2^30 − 1 as the limit, which differs only for numbers half the circle
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNumber(u32); // private: nobody can build one with bit 31 set

impl SeqNumber {
    /// The bits a sequence number has, and so the largest of them: 2^31 − 1.
    pub const MASK: u32 = 0x7FFF_FFFF;

    /// The number of the lower 31 bits of `value`; bit 31 is ignored.
    #[inline]
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MASK)
    }

    /// The bare number, 0 to 2^31 − 1.
    #[inline]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The number after this one; 0 comes after 2^31 − 1.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0.wrapping_add(1))
    }

    /// The number before this one; 2^31 − 1 comes before 0.
    #[inline]
    #[must_use]
    pub const fn prev(self) -> Self {
        Self::new(self.0.wrapping_sub(1))
    }

    /// Signed number of packets from `earlier` to `self`, −2^30 to 2^30 − 1: negative when `earlier` comes
    /// after.
    #[inline]
    pub const fn distance_from(self, earlier: Self) -> i32 {
        (self.0.wrapping_sub(earlier.0) << 1).cast_signed() >> 1
    }

    /// Whether this number comes later than `other`.
    #[inline]
    pub const fn is_after(self, other: Self) -> bool {
        self.distance_from(other) > 0
    }

    /// Whether this number comes earlier than `other`.
    #[inline]
    pub const fn is_before(self, other: Self) -> bool {
        self.distance_from(other) < 0
    }
}

/// `count` packets on, wrapping.
impl Add<u32> for SeqNumber {
    type Output = Self;

    #[inline]
    fn add(self, count: u32) -> Self {
        Self::new(self.0.wrapping_add(count))
    }
}

/// `count` packets back, wrapping.
impl Sub<u32> for SeqNumber {
    type Output = Self;

    #[inline]
    fn sub(self, count: u32) -> Self {
        Self::new(self.0.wrapping_sub(count))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAST: SeqNumber = SeqNumber::new(SeqNumber::MASK);
    const ZERO: SeqNumber = SeqNumber::new(0);

    #[test]
    fn zero_follows_the_largest_number() {
        assert_eq!(LAST.next(), ZERO);
        assert_eq!(ZERO.prev(), LAST);
        assert_eq!(LAST + 3, SeqNumber::new(2));
        assert_eq!(SeqNumber::new(2) - 3, LAST);
        assert!(ZERO.is_after(LAST));
        assert!(LAST.is_before(ZERO));
    }

    #[test]
    fn bit_31_is_no_part_of_the_number() {
        assert_eq!(SeqNumber::new(0x8000_0005), SeqNumber::new(5));
    }

    #[test]
    fn half_the_circle_is_as_far_as_one_can_see() {
        assert_eq!(SeqNumber::new((1 << 30) - 1).distance_from(ZERO), (1 << 30) - 1);
        assert_eq!(SeqNumber::new(1 << 30).distance_from(ZERO), -(1 << 30));
    }

    #[test]
    fn a_number_is_neither_before_nor_after_itself() {
        assert!(!LAST.is_after(LAST));
        assert!(!LAST.is_before(LAST));
        assert_eq!(LAST.distance_from(LAST), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_distance_leads_from_one_number_to_the_other(a: u32, b: u32) {
            let (a, b) = (SeqNumber::new(a), SeqNumber::new(b));
            prop_assert_eq!(b + a.distance_from(b).cast_unsigned(), a);
        }

        #[test]
        fn what_was_added_is_the_distance(start: u32, count in 0..1_u32 << 30) {
            let start = SeqNumber::new(start);
            prop_assert_eq!((start + count).distance_from(start), count.cast_signed());
            prop_assert_eq!(start.distance_from(start + count), -count.cast_signed());
            prop_assert_eq!((start + count) - count, start);
            prop_assert_eq!((start + count).is_after(start), count != 0);
            prop_assert_eq!(start.is_before(start + count), count != 0);
        }

        #[test]
        fn next_and_prev_undo_each_other(value: u32) {
            let seq = SeqNumber::new(value);
            prop_assert_eq!(seq.next().prev(), seq);
            prop_assert_eq!(seq.prev().next(), seq);
            prop_assert_eq!(seq.next(), seq + 1);
            prop_assert!(seq.next().value() <= SeqNumber::MASK);
        }
    }
}
