//! When a link that is down is tried again.

use srt_protocol::time::{Instant, Micros};

/// The first pause, and the longest.
const FIRST: Micros = Micros::from_millis(500);
const LONGEST: Micros = Micros::from_secs(10);
/// A link that held this long was a good one: the next pause is the first again.
const GOOD_AFTER: Micros = Micros::from_secs(10);
/// Between two links that are tried for the first time, while none is up.
pub(crate) const STAGGER: Micros = Micros::from_millis(300);

/// The tries of one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heal {
    pause: Micros,
    up_at: Option<Instant>,
    /// Tries that failed since the link was up last.
    pub(crate) failures: u32,
}

impl Heal {
    pub(crate) const fn new() -> Self {
        Self { pause: FIRST, up_at: None, failures: 0 }
    }

    pub(crate) const fn on_up(&mut self, now: Instant) {
        self.up_at = Some(now);
        self.failures = 0;
    }

    /// It went down, or a try failed; `hopeless` where the next try will hardly fare better. When to try again.
    pub(crate) fn on_down(&mut self, now: Instant, hopeless: bool) -> Instant {
        if self.up_at.take().is_some_and(|at| now.saturating_since(at) >= GOOD_AFTER) {
            self.pause = FIRST;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = if hopeless { LONGEST } else { self.pause };
        self.pause = (self.pause * 2).min(LONGEST);
        now + pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_a_link_that_held_starts_anew() {
        let mut heal = Heal::new();
        let mut now = Instant::from_micros(1_000_000);
        let pauses: Vec<u64> = (0..7)
            .map(|_| {
                let next = heal.on_down(now, false);
                let pause = next.saturating_since(now).as_millis();
                now = next;
                pause
            })
            .collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        heal.on_up(now);
        now += Micros::from_secs(60);
        assert_eq!(heal.on_down(now, false), now + FIRST);
        assert_eq!(heal.on_down(now, true), now + LONGEST);
    }
}
