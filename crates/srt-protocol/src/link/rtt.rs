//! Round-trip time from ACK to ACKACK, smoothed (draft §4.10).

use crate::time::Micros;

/// Smoothed round-trip time and its variance.
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    smoothed_us: u64,
    variance_us: u64,
    longest_half_us: u64,
    shortest_us: u64,
    first_us: Option<u64>,
    /// Somebody has measured it, we or the peer.
    known: bool,
    /// How often the peer has told its own since we measured last.
    told: u32,
}

/// What is assumed before the first measurement: 100 ms.
const INITIAL_US: u64 = 100_000;
/// ACKs without a measurement of our own between them, after which the peer knows better: with an ACK every 10 ms a third of
/// a second.
const TOLD_BEFORE_BELIEVED: u32 = 32;
/// No round trip longer than this is believed: 10 minutes.
const LONGEST_US: u64 = 600_000_000;

impl Default for Rtt {
    fn default() -> Self {
        Self {
            smoothed_us: INITIAL_US,
            variance_us: INITIAL_US / 2,
            longest_half_us: 0,
            shortest_us: 0,
            first_us: None,
            known: false,
            told: 0,
        }
    }
}

impl Rtt {
    /// Starts from the time one answer took. Counts until there is a measurement of our own, or the peer tells one.
    #[must_use]
    pub fn guessed(rtt: Micros) -> Self {
        let rtt_us = rtt.as_micros().min(LONGEST_US);
        Self { smoothed_us: rtt_us, variance_us: rtt_us / 2, longest_half_us: rtt_us / 2, ..Self::default() }
    }

    /// Takes a measurement of our own.
    pub fn sample(&mut self, rtt: Micros) {
        let rtt = rtt.as_micros().min(LONGEST_US);
        self.told = 0;
        self.known = true;
        if self.first_us.is_none() {
            self.first_us = Some(rtt);
            (self.smoothed_us, self.variance_us) = (rtt, rtt / 2);
            self.shortest_us = rtt;
        } else {
            self.variance_us = (self.variance_us * 3 + self.smoothed_us.abs_diff(rtt)) / 4;
            self.smoothed_us = (self.smoothed_us * 7 + rtt) / 8;
        }
        self.shortest_us = self.shortest_us.min(rtt);
        self.longest_half_us = self.longest_half_us.max(self.smoothed_us / 2);
    }

    /// Takes what the peer measured and smoothed: counts where we have not measured anything, or for long. What every end
    /// assumes before it has measured says nothing.
    pub fn told_by_peer(&mut self, rtt_us: u32, variance_us: u32) {
        let assumed = (u64::from(rtt_us), u64::from(variance_us)) == (INITIAL_US, INITIAL_US / 2);
        self.told = self.told.saturating_add(1);
        if !assumed && (self.first_us.is_none() || self.told > TOLD_BEFORE_BELIEVED) {
            let shortest_us = if self.known { self.shortest_us } else { u64::MAX };
            self.known = true;
            self.shortest_us = shortest_us.min(u64::from(rtt_us));
            self.smoothed_us = u64::from(rtt_us).min(LONGEST_US);
            self.variance_us = u64::from(variance_us).min(LONGEST_US);
            self.longest_half_us = self.longest_half_us.max(self.smoothed_us / 2);
        }
    }

    /// The smoothed round-trip time; 100 ms before anything was measured.
    #[must_use]
    pub const fn smoothed(&self) -> Micros {
        Micros::from_micros(self.smoothed_us)
    }

    /// Its variance (mean deviation); 50 ms before anything was measured.
    #[must_use]
    pub const fn variance(&self) -> Micros {
        Micros::from_micros(self.variance_us)
    }

    /// RTT + 4·RTTVar: an answer that took longer is overdue.
    #[must_use]
    pub const fn overdue(&self) -> Micros {
        Micros::from_micros(self.smoothed_us + 4 * self.variance_us)
    }

    /// No answer comes sooner: RTT − 4·RTTVar, or the shortest round trip measured less an eighth.
    #[must_use]
    pub fn soonest(&self) -> Micros {
        let usual = self.smoothed_us.saturating_sub(4 * self.variance_us);
        Micros::from_micros(usual.max(self.shortest_us - self.shortest_us / 8))
    }

    /// What left less than this ago cannot have been missed by the peer yet. Unlike [`soonest`](Self::soonest) never nothing, so
    /// that a peer that reports all the time is not answered all the time.
    #[must_use]
    pub fn fresh(&self) -> Micros {
        self.soonest().max(Micros::from_micros(self.smoothed_us / 2))
    }

    /// No packet arrives sooner than this after it left.
    #[must_use]
    pub fn shortest_way(&self) -> Micros {
        Micros::from_micros(self.shortest_us / 2)
    }

    /// The longest one-way time seen, as half a round trip.
    #[must_use]
    pub const fn longest_half(&self) -> Micros {
        Micros::from_micros(self.longest_half_us)
    }

    /// Whether it was measured, by us or by the peer: who only sends measures nothing, and is told.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// The first measurement of our own.
    #[must_use]
    pub fn first(&self) -> Option<Micros> {
        self.first_us.map(Micros::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_end_assumes_is_no_measurement() {
        let mut rtt = Rtt::guessed(Micros::from_millis(70));
        rtt.told_by_peer(100_000, 50_000);
        assert!(!rtt.is_known());
        rtt.told_by_peer(30_000, 2_000);
        assert!(rtt.is_known());
        assert_eq!(rtt.shortest_way(), Micros::from_millis(15));
    }

    #[test]
    fn the_first_measurement_replaces_the_guess() {
        let mut rtt = Rtt::default();
        rtt.sample(Micros::from_millis(40));
        assert_eq!((rtt.smoothed(), rtt.variance()), (Micros::from_millis(40), Micros::from_millis(20)));
    }

    #[test]
    fn a_guess_lasts_until_something_is_measured() {
        let mut rtt = Rtt::guessed(Micros::from_millis(30));
        assert_eq!((rtt.smoothed(), rtt.overdue()), (Micros::from_millis(30), Micros::from_millis(90)));
        assert_eq!(rtt.first(), None);
        rtt.sample(Micros::from_millis(40));
        assert_eq!(rtt.smoothed(), Micros::from_millis(40));
    }

    #[test]
    fn later_ones_are_smoothed_by_an_eighth_and_a_quarter() {
        let mut rtt = Rtt::default();
        rtt.sample(Micros::from_millis(40));
        rtt.sample(Micros::from_millis(48));
        assert_eq!((rtt.smoothed(), rtt.variance()), (Micros::from_millis(41), Micros::from_millis(17)));
    }

    #[test]
    fn the_peers_word_counts_where_we_have_none_of_our_own() {
        let mut rtt = Rtt::default();
        rtt.told_by_peer(30_000, 2_000);
        assert_eq!(rtt.overdue(), Micros::from_millis(38));
        rtt.sample(Micros::from_millis(10));
        rtt.told_by_peer(30_000, 2_000);
        assert_eq!(rtt.smoothed(), Micros::from_millis(10));
        assert_eq!(rtt.longest_half(), Micros::from_millis(15));
        for _ in 0..40 {
            rtt.told_by_peer(50_000, 4_000);
        }
        assert_eq!(rtt.overdue(), Micros::from_millis(66), "or when we have not measured for long");
    }

    #[test]
    fn what_the_peer_only_assumes_is_not_believed() {
        let mut rtt = Rtt::guessed(Micros::from_millis(20));
        rtt.told_by_peer(100_000, 50_000);
        assert_eq!((rtt.smoothed(), rtt.longest_half()), (Micros::from_millis(20), Micros::from_millis(10)));
    }
}
