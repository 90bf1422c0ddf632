//! Time as the core sees it: points and spans in whole microseconds, handed in by whoever drives it.
//!
//! The core never reads a clock. `now` is an argument wherever time matters, so that a test, a simulator and
//! the C API can make up any time they like. A microsecond is SRT's own unit (draft §3: timestamps).

use core::fmt;
use core::ops::{Add, AddAssign, Div, Mul, Sub, SubAssign};
use core::time::Duration;

/// A point on the local clock: microseconds since an origin that whoever drives the core chose.
///
/// All arithmetic saturates: a point before the origin is the origin, one past the end (584,000 years) is the
/// end. Never on the wire: there stands a [`Timestamp`](crate::types::Timestamp), which wraps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The point `micros` microseconds after the origin of the clock.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin of the clock.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span from `earlier` to `self`; zero when `earlier` is not earlier.
    pub const fn saturating_since(self, earlier: Self) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }

    /// Microseconds from `other` to `self`: negative when `self` comes first. Saturates at the ends of `i64`.
    pub const fn signed_since(self, other: Self) -> i64 {
        let ahead = self.0.wrapping_sub(other.0).cast_signed();
        match (self.0 >= other.0, ahead >= 0) {
            (true, false) => i64::MAX,
            (false, true) => i64::MIN,
            _ => ahead,
        }
    }

    /// The point `micros` microseconds later, or earlier when negative. Saturates.
    #[must_use]
    pub const fn offset(self, micros: i64) -> Self {
        Self(self.0.saturating_add_signed(micros))
    }
}

impl Add<Micros> for Instant {
    type Output = Self;

    fn add(self, span: Micros) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Micros> for Instant {
    type Output = Self;

    fn sub(self, span: Micros) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl AddAssign<Micros> for Instant {
    fn add_assign(&mut self, span: Micros) {
        *self = *self + span;
    }
}

impl SubAssign<Micros> for Instant {
    fn sub_assign(&mut self, span: Micros) {
        *self = *self - span;
    }
}

/// A span of time in whole microseconds, never negative. All arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Micros(u64);

impl Micros {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span there is: 584,000 years, which stands for "for ever".
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Whether the span is empty.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Micros {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Mul<u64> for Micros {
    type Output = Self;

    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

/// Rounds down. Panics for a divisor of zero, as `u64` does.
impl Div<u64> for Micros {
    type Output = Self;

    fn div(self, divisor: u64) -> Self {
        Self(self.0 / divisor)
    }
}

/// Rounds down to the microsecond; saturates at [`Micros::MAX`].
impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Micros> for Duration {
    fn from(span: Micros) -> Self {
        Self::from_micros(span.0)
    }
}

/// As [`Duration`] writes itself: `1.5s`, `20ms`, `7µs`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Duration::from(*self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_point_before_the_origin_is_the_origin() {
        assert_eq!(Instant::from_micros(5) - Micros::from_micros(6), Instant::from_micros(0));
        assert_eq!(Instant::from_micros(5).offset(-6), Instant::from_micros(0));
    }

    #[test]
    fn for_ever_plus_a_little_is_for_ever() {
        assert_eq!(Instant::from_micros(5) + Micros::MAX, Instant::from_micros(u64::MAX));
        assert_eq!(Micros::MAX + Micros::from_secs(1), Micros::MAX);
        assert_eq!(Micros::MAX * 2, Micros::MAX);
        assert_eq!(Micros::from_secs(u64::MAX), Micros::MAX);
    }

    #[test]
    fn a_signed_span_saturates_instead_of_changing_sign() {
        let (begin, end) = (Instant::from_micros(0), Instant::from_micros(u64::MAX));
        assert_eq!(end.signed_since(begin), i64::MAX);
        assert_eq!(begin.signed_since(end), i64::MIN);
        assert_eq!(begin.signed_since(begin), 0);
    }

    #[test]
    fn a_span_since_something_later_is_zero() {
        assert_eq!(Instant::from_micros(5).saturating_since(Instant::from_micros(9)), Micros::ZERO);
        assert_eq!(Instant::from_micros(9).saturating_since(Instant::from_micros(5)), Micros::from_micros(4));
    }

    #[test]
    fn spans_convert_to_and_from_the_standard_duration() {
        assert_eq!(Micros::from(Duration::from_nanos(1_999)), Micros::from_micros(1));
        assert_eq!(Micros::from(Duration::MAX), Micros::MAX);
        assert_eq!(Duration::from(Micros::from_millis(3)), Duration::from_millis(3));
        assert_eq!(Micros::from_millis(1_500).to_string(), "1.5s");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_signed_span_is_the_true_difference_held_within_i64(a: u64, b: u64) {
            let exact = i128::from(a) - i128::from(b);
            let held = exact.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            prop_assert_eq!(i128::from(Instant::from_micros(a).signed_since(Instant::from_micros(b))), held);
        }

        #[test]
        fn what_was_added_is_what_has_passed(at in 0..u64::MAX / 2, span in 0..u64::MAX / 2) {
            let (at, span) = (Instant::from_micros(at), Micros::from_micros(span));
            prop_assert_eq!((at + span).saturating_since(at), span);
            prop_assert_eq!((at + span) - span, at);
        }
    }
}
