//! How late each link brings what it brings, and one clock drift of several links.

use srt_protocol::time::{Instant, Micros};

/// How late packets come on one link against their stamps, and how much that varies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delay {
    mean_us: i64,
    deviation_us: i64,
    samples: u32,
    latest: Instant,
}

/// A link that brought nothing for this long is not waited for.
const FRESH: Micros = Micros::from_millis(300);
/// Added to what a link usually takes.
const MARGIN_US: i64 = 1_000;

impl Delay {
    /// A packet came, `late_us` after its stamp.
    pub(crate) fn sample(&mut self, now: Instant, late_us: i64) {
        self.latest = now;
        if self.samples == 0 {
            (self.mean_us, self.deviation_us) = (late_us, 1_000);
        }
        self.samples = self.samples.saturating_add(1);
        let apart = late_us.saturating_sub(self.mean_us);
        self.mean_us += apart / 16;
        self.deviation_us += (apart.saturating_abs() - self.deviation_us) / 16;
    }

    /// How long a packet may take yet on this link, that is `late_us` after its stamp already; zero where it would have come.
    pub(crate) fn may_take(&self, now: Instant, late_us: i64, latency: Micros) -> Micros {
        // What comes after its play time is not worth waiting for.
        if self.mean_us > latency.as_micros().cast_signed()
            || self.samples == 0
            || now.saturating_since(self.latest) > FRESH
        {
            return Micros::ZERO;
        }
        let usual = self.mean_us.saturating_add(self.deviation_us * 4).saturating_add(MARGIN_US);
        Micros::from_micros(u64::try_from(usual.saturating_sub(late_us)).unwrap_or_default())
    }

    /// The usual lateness, in µs; `None` before anything came.
    pub(crate) fn mean(&self) -> Option<i64> {
        (self.samples > 0).then_some(self.mean_us)
    }
}

/// The clock drift of the group: the mean of what its links say, each from where the group stood when the link came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drift {
    applied: i64,
    stepped: Instant,
}

/// The largest step in µs, and the time between two.
const STEP_MAX: i64 = 1_000;
const STEP_PERIOD: Micros = Micros::from_secs(1);

impl Drift {
    /// What is applied now, in µs.
    pub(crate) const fn applied(&self) -> i64 {
        self.applied
    }

    /// The links say `each`: the correction to apply, where that changes.
    pub(crate) fn merge(&mut self, now: Instant, each: impl Iterator<Item = i64>) -> Option<i64> {
        let (sum, count) =
            each.fold((0_i64, 0_i64), |(sum, count), one| (sum.saturating_add(one), count + 1));
        let target = sum.checked_div(count)?;
        if target == self.applied || now.saturating_since(self.stepped) < STEP_PERIOD {
            return None;
        }
        self.stepped = now;
        self.applied += (target - self.applied).clamp(-STEP_MAX, STEP_MAX);
        Some(self.applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = Micros::from_secs(1);

    #[test]
    fn a_slow_link_is_waited_for_as_long_as_it_usually_takes() {
        let mut delay = Delay::default();
        let now = Instant::from_micros(1_000_000);
        (0..500).for_each(|_| delay.sample(now, 300_000));
        let wait = delay.may_take(now, 20_000, SECOND).as_millis();
        assert!((280..286).contains(&wait), "{wait}");
        assert_eq!(delay.may_take(now, 310_000, SECOND), Micros::ZERO);
        assert_eq!(
            delay.may_take(now + Micros::from_secs(1), 20_000, SECOND),
            Micros::ZERO,
            "it brings nothing any more"
        );
    }

    #[test]
    fn drift_follows_the_mean_in_small_steps() {
        let mut drift = Drift::default();
        let at = |s: u64| Instant::from_micros(s * 1_000_000);
        assert_eq!(drift.merge(at(10), [3_000, 1_000].into_iter()), Some(1_000));
        assert_eq!(drift.merge(at(10), [3_000, 1_000].into_iter()), None);
        assert_eq!(drift.merge(at(11), [3_000, 1_000].into_iter()), Some(2_000));
        assert_eq!(drift.merge(at(12), std::iter::empty()), None, "no link, no change");
    }
}
