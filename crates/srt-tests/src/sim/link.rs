//! The path between two nodes, built in a sentence.

use srt_impair::{Loss, Outage, Profile};
use srt_protocol::time::Micros;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// From the caller to the listener.
    ToListener,
    /// From the listener to the caller.
    ToCaller,
}

/// A path: one [`Profile`] per direction.
///
/// Methods change both directions unless their name says otherwise.
#[derive(Clone, Debug)]
pub struct Link {
    /// From the caller to the listener.
    pub there: Profile,
    /// From the listener to the caller.
    pub back: Profile,
}

impl Link {
    /// A perfect path of this round-trip time, the same in both directions.
    pub fn rtt_ms(rtt: u64) -> Self {
        Self::one_way_ms(0, 0).each(|profile| profile.delay_us = rtt * 500)
    }

    /// A perfect path with a delay of its own in each direction.
    pub fn one_way_ms(there: u64, back: u64) -> Self {
        let perfect = |delay: u64| Profile { delay_us: delay * 1_000, ..Profile::default() };
        Self { there: perfect(there), back: perfect(back) }
    }

    /// Delay that varies by up to so much, in order.
    #[must_use]
    pub fn jitter_ms(self, jitter: u64) -> Self {
        self.each(|profile| (profile.jitter_us, profile.jitter_reorders) = (jitter * 1_000, false))
    }

    /// Delay that varies by up to so much from packet to packet, so that they overtake each other.
    #[must_use]
    pub fn reordering_jitter_ms(self, jitter: u64) -> Self {
        self.each(|profile| (profile.jitter_us, profile.jitter_reorders) = (jitter * 1_000, true))
    }

    /// Each datagram is lost with this probability.
    #[must_use]
    pub fn loss(self, rate: f64) -> Self {
        self.each(|profile| profile.loss = Loss::Independent(rate))
    }

    /// As [`loss`](Self::loss), towards the listener only.
    #[must_use]
    pub fn loss_there(mut self, rate: f64) -> Self {
        self.there.loss = Loss::Independent(rate);
        self
    }

    /// As [`loss`](Self::loss), towards the caller only.
    #[must_use]
    pub fn loss_back(mut self, rate: f64) -> Self {
        self.back.loss = Loss::Independent(rate);
        self
    }

    /// This share of the datagrams is lost, `mean` of them in a row on average.
    #[must_use]
    pub fn bursts(self, rate: f64, mean: f64) -> Self {
        self.each(|profile| profile.loss = Loss::Burst { rate, mean_length: mean })
    }

    /// As [`bursts`](Self::bursts), towards the listener only.
    #[must_use]
    pub fn bursts_there(mut self, rate: f64, mean: f64) -> Self {
        self.there.loss = Loss::Burst { rate, mean_length: mean };
        self
    }

    /// This share arrives twice.
    #[must_use]
    pub fn duplicates(self, rate: f64) -> Self {
        self.each(|profile| profile.duplicate = rate)
    }

    /// This share is held back by so much.
    #[must_use]
    pub fn reorder(self, rate: f64, by: Micros) -> Self {
        self.each(|profile| (profile.reorder, profile.reorder_by_us) = (rate, by.as_micros()))
    }

    /// Nothing gets through from `start` on, for `length`.
    #[must_use]
    pub fn outage(self, start: Micros, length: Micros) -> Self {
        let outage = Outage { start_us: start.as_micros(), length_us: length.as_micros(), every_us: None };
        self.each(|profile| profile.outages.push(outage))
    }

    /// A bottleneck of this rate towards the listener, with room for so many packets in front of it.
    #[must_use]
    pub fn bottleneck_there(mut self, bps: u64, queue: usize) -> Self {
        (self.there.rate_bps, self.there.queue_packets) = (Some(bps), queue);
        self
    }

    fn each(mut self, change: impl Fn(&mut Profile)) -> Self {
        change(&mut self.there);
        change(&mut self.back);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_builds_both_directions() {
        let link =
            Link::rtt_ms(40).jitter_ms(8).loss(0.05).outage(Micros::from_secs(1), Micros::from_secs(2));
        for profile in [&link.there, &link.back] {
            assert_eq!(
                (profile.delay_us, profile.jitter_us, profile.jitter_reorders),
                (20_000, 8_000, false)
            );
            assert!(matches!(profile.loss, Loss::Independent(rate) if (rate - 0.05).abs() < f64::EPSILON));
            assert_eq!(profile.outages.len(), 1);
        }
    }

    #[test]
    fn what_names_a_direction_changes_that_one_only() {
        let link = Link::one_way_ms(10, 30).loss_there(0.1).bottleneck_there(1_000_000, 64);
        assert_eq!((link.there.delay_us, link.back.delay_us), (10_000, 30_000));
        assert!(matches!(link.back.loss, Loss::None));
        assert_eq!(link.back.rate_bps, None);
    }
}
