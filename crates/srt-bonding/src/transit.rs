//! What is under way on a link: how long it is overdue, from what the peer says has come.
//!
//! A round trip is told by what has come through the queue; of a queue that grows fast it tells when it is too late. What should have
//! come and has not tells at once.

use std::collections::VecDeque;

use srt_protocol::time::{Instant, Micros};

/// When each packet left of which it is not known that it came, oldest first; those that left before one that came are lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transit {
    left: VecDeque<Instant>,
}

/// Packets remembered at most.
const PACKETS_MAX: usize = 8_192;
/// What is late by less may be news that is late, jitter, or a queue that the round trips tell of soon enough.
const NOTED: Micros = Micros::from_millis(150);
/// What is overdue for longer is lost, or of no use.
const LONGEST: Micros = Micros::from_secs(2);

impl Transit {
    /// A packet leaves for the first time.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        if self.left.len() == PACKETS_MAX {
            self.left.pop_front();
        }
        self.left.push_back(now);
    }

    /// A packet that left then has come: the link keeps the order but for a little.
    pub(crate) fn on_came(&mut self, left: Instant) {
        while self.left.front().is_some_and(|first| *first <= left) {
            self.left.pop_front();
        }
    }

    /// By how much the oldest packet is late that should have come by now, where a round trip takes `rtt`.
    pub(crate) fn lag(&self, now: Instant, rtt: Micros) -> Micros {
        // They left in order. On a link that is dead thousands are too old, and each new packet asks.
        let of_use = self.left.partition_point(|left| now.saturating_since(*left) >= LONGEST);
        self.left.get(of_use).map_or(Micros::ZERO, |left| {
            let age = now.saturating_since(*left);
            if age > rtt + NOTED { age - rtt } else { Micros::ZERO }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn what_should_have_come_is_late_until_something_that_left_later_comes() {
        let rtt = Micros::from_millis(40);
        let mut transit = Transit::default();
        (0..10).for_each(|n| transit.on_sent(at(n * 10)));
        assert_eq!(transit.lag(at(100), rtt), Micros::ZERO);
        assert_eq!(transit.lag(at(240), rtt), Micros::from_millis(200));
        transit.on_came(at(60));
        assert_eq!(transit.lag(at(240), rtt), Micros::ZERO, "those before are lost, and no queue");
        assert_eq!(transit.lag(at(300), rtt), Micros::from_millis(190));
        assert_eq!(transit.lag(at(2_100), rtt), Micros::ZERO, "it will not come any more");
    }
}
