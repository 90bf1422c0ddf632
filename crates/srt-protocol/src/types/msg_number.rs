//! Message numbers: 26 bits on a circle that leaves zero out.

use core::fmt;

/// Number of a message: 1 to 2^26 − 1, then 1 again (draft §3.1).
///
/// Zero is no message: it marks a packet-filter packet in the stream, and in a DROPREQ says that the message
/// is not known. Not `Ord`, for numbers on a circle have no smallest. libsrt: `MsgNo` (common.h, packet.h
/// `SRT_MSGNO_CONTROL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsgNumber(u32); // private: nobody can build one with more than 26 bits

impl MsgNumber {
    /// The bits a message number has, and so the largest of them: 2^26 − 1.
    pub const MASK: u32 = 0x03FF_FFFF;
    /// The number of the first message of a stream.
    pub const FIRST: Self = Self(1);
    /// No message of the stream: the number of packet-filter packets, and of a DROPREQ for packets whose
    /// message is not known.
    pub const CONTROL: Self = Self(0);

    /// The number of the lower 26 bits of `value`; the higher ones are ignored.
    #[inline]
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MASK)
    }

    /// The bare number, 0 to 2^26 − 1.
    #[inline]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The number after this one; 1 comes after 2^26 − 1.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 == Self::MASK { Self::FIRST } else { Self(self.0 + 1) }
    }

    /// Signed number of messages from `earlier` to `self`, the shorter way round: −(2^25 − 1) to 2^25 − 1.
    ///
    /// Zero is left out of the circle, so the step from 2^26 − 1 to 1 counts as one.
    /// [`CONTROL`](Self::CONTROL) is taken for the number before [`FIRST`](Self::FIRST).
    #[inline]
    pub const fn distance_from(self, earlier: Self) -> i32 {
        // The circle has MASK places, an odd number, so that one way round is always the shorter.
        const CIRCLE: i32 = MsgNumber::MASK.cast_signed();
        let ahead = (self.0.cast_signed() - earlier.0.cast_signed()) % CIRCLE;
        if ahead > CIRCLE / 2 {
            ahead - CIRCLE
        } else if ahead < -(CIRCLE / 2) {
            ahead + CIRCLE
        } else {
            ahead
        }
    }
}

impl fmt::Display for MsgNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_follows_the_largest_number() {
        let last = MsgNumber::new(MsgNumber::MASK);
        assert_eq!(last.next(), MsgNumber::FIRST);
        assert_eq!(MsgNumber::FIRST.distance_from(last), 1);
        assert_eq!(last.distance_from(MsgNumber::FIRST), -1);
        assert_eq!(MsgNumber::new(3).distance_from(MsgNumber::new(MsgNumber::MASK - 1)), 4);
    }

    #[test]
    fn the_number_before_the_first_is_control() {
        assert_eq!(MsgNumber::CONTROL.next(), MsgNumber::FIRST);
        assert_eq!(MsgNumber::FIRST.distance_from(MsgNumber::CONTROL), 1);
    }

    #[test]
    fn flag_bits_are_no_part_of_the_number() {
        assert_eq!(MsgNumber::new(0xFC00_0007), MsgNumber::new(7));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_next_number_is_one_further_and_never_zero(value: u32) {
            let number = MsgNumber::new(value);
            prop_assert_ne!(number.next(), MsgNumber::CONTROL);
            prop_assert!(number.next().value() <= MsgNumber::MASK);
            prop_assert_eq!(number.next().distance_from(number), 1);
            prop_assert_eq!(number.distance_from(number.next()), -1);
        }

        #[test]
        fn the_distance_is_the_number_of_steps(start in 1..=MsgNumber::MASK, steps in 0..1_u32 << 25) {
            // Counted without zero: places 0 to MASK − 1 stand for the numbers 1 to MASK.
            let end = MsgNumber::new((start - 1 + steps) % MsgNumber::MASK + 1);
            let start = MsgNumber::new(start);
            prop_assert_eq!(end.distance_from(start), steps.cast_signed());
            prop_assert_eq!(start.distance_from(end), -steps.cast_signed());
        }
    }
}
