//! A node's clock: it starts where it likes and runs as fast as its crystal does.

use srt_protocol::time::Instant;

/// A node's own time as a function of the world's: `start + elapsed + elapsed · ppm / 10⁶`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    start_us: u64,
    ppm: i32,
}

impl Clock {
    /// A clock that shows `start` when the world begins and gains `ppm` µs in each second.
    pub const fn new(start: Instant, ppm: i32) -> Self {
        Self { start_us: start.as_micros(), ppm }
    }

    /// What the clock shows `world_us` after the world began.
    pub fn local(&self, world_us: u64) -> Instant {
        let gained = (i128::from(world_us) * i128::from(self.ppm)).div_euclid(1_000_000);
        let shown = i128::from(self.start_us) + i128::from(world_us) + gained;
        Instant::from_micros(u64::try_from(shown).unwrap_or(if shown < 0 { 0 } else { u64::MAX }))
    }

    /// The first moment of the world at which the clock shows `local` or more.
    pub fn world(&self, local: Instant) -> u64 {
        let ahead = i128::from(local.as_micros()) - i128::from(self.start_us);
        let rate = 1_000_000 + i128::from(self.ppm);
        let Ok(mut world) = u64::try_from((ahead * 1_000_000).div_euclid(rate)) else {
            return if ahead < 0 { 0 } else { u64::MAX };
        };
        while world > 0 && self.local(world - 1) >= local {
            world -= 1;
        }
        while world < u64::MAX && self.local(world) < local {
            world += 1;
        }
        world
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_without_drift_only_has_an_offset() {
        let clock = Clock::new(Instant::from_micros(500), 0);
        assert_eq!(clock.local(0), Instant::from_micros(500));
        assert_eq!(clock.local(42), Instant::from_micros(542));
        assert_eq!(clock.world(Instant::from_micros(542)), 42);
        assert_eq!(clock.world(Instant::from_micros(3)), 0);
    }

    #[test]
    fn a_fast_clock_gains_its_parts_per_million() {
        let hour = 3_600_000_000;
        assert_eq!(
            Clock::new(Instant::from_micros(0), 100).local(hour),
            Instant::from_micros(hour + 360_000)
        );
        assert_eq!(
            Clock::new(Instant::from_micros(0), -100).local(hour),
            Instant::from_micros(hour - 360_000)
        );
    }

    #[test]
    fn the_world_is_asked_for_the_first_moment_that_will_do() {
        for ppm in [-500, -100, -1, 0, 1, 100, 500, 250_000] {
            let clock = Clock::new(Instant::from_micros(1 << 40), ppm);
            for step in 0..2_000_u64 {
                let local = Instant::from_micros((1 << 40) + step * step * 977);
                let world = clock.world(local);
                assert!(clock.local(world) >= local, "{ppm} ppm, {step}");
                assert!(world == 0 || clock.local(world - 1) < local, "{ppm} ppm, {step}");
            }
        }
    }
}
