//! The narrow part of the link: packets leave one after the other at the link's rate, and wait in a drop-tail queue.

use std::collections::VecDeque;

use crate::profile::Profile;

/// Bytes of IP and UDP headers in front of each payload, which a rate limit counts as well (IPv4: 20 + 8).
pub const UDP_IP_OVERHEAD: usize = 28;

/// The queue and the clocking-out behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// When each packet inside has left, in µs, in order.
    leaving: VecDeque<u64>,
    /// When the link is free again, in µs × rate: exact, so that the rate holds to the bit in the long run.
    free_at: u128,
    rate: u64,
    limit: usize,
}

impl Queue {
    pub(super) fn new(profile: &Profile) -> Self {
        let mut queue = Self::default();
        queue.set(profile);
        queue
    }

    /// Changes rate and limit; what is inside leaves as promised.
    pub(super) fn set(&mut self, profile: &Profile) {
        let free_at_us = self.free_at_us();
        self.rate = profile.rate_bps.map_or(0, |rate| rate.max(1));
        self.free_at = u128::from(free_at_us) * u128::from(self.rate);
        self.limit = profile.queue_packets.max(1);
    }

    /// When a packet of `size` bytes has left the link's near end, in µs rounded up; `None` if the queue is full.
    pub(super) fn pass(&mut self, now_us: u64, size: usize) -> Option<u64> {
        if self.rate == 0 {
            return Some(now_us);
        }
        while self.leaving.front().is_some_and(|&left| left <= now_us) {
            self.leaving.pop_front();
        }
        if self.leaving.len() >= self.limit {
            return None;
        }
        let bits = (size as u128).saturating_add(UDP_IP_OVERHEAD as u128).saturating_mul(8);
        let begins = self.free_at.max(u128::from(now_us) * u128::from(self.rate));
        self.free_at = begins.saturating_add(bits.saturating_mul(1_000_000));
        let leaves_us = self.free_at_us();
        self.leaving.push_back(leaves_us);
        Some(leaves_us)
    }

    fn free_at_us(&self) -> u64 {
        let us = if self.rate == 0 { 0 } else { self.free_at.div_ceil(u128::from(self.rate)) };
        u64::try_from(us).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(rate_bps: u64, queue_packets: usize) -> Queue {
        Queue::new(&Profile { rate_bps: Some(rate_bps), queue_packets, ..Profile::default() })
    }

    #[test]
    fn a_backlog_leaves_exactly_at_the_rate() {
        // 1,288 + 28 bytes = 10,528 bits: 526.4 us at 20 Mb/s.
        let mut queue = queue(20_000_000, 1_000_000);
        for number in 1..=100_000_u64 {
            assert_eq!(queue.pass(0, 1_288), Some((number * 5_264).div_ceil(10)));
        }
    }

    #[test]
    fn rates_that_do_not_divide_keep_no_rounding_error() {
        let mut queue = queue(7_777_777, usize::MAX);
        let last = (0..1_000_000).map(|_| queue.pass(0, 1_000)).last().flatten();
        let bits: u128 = 1_000_000 * 1_028 * 8;
        assert_eq!(last.map(u128::from), Some((bits * 1_000_000).div_ceil(7_777_777)));
    }

    #[test]
    fn an_idle_link_sends_at_once_and_saves_nothing_up() {
        let mut queue = queue(1_000_000, 10);
        assert_eq!(queue.pass(5_000_000, 97), Some(5_001_000));
        assert_eq!(queue.pass(5_000_000, 97), Some(5_002_000));
        assert_eq!(queue.pass(9_000_000, 97), Some(9_001_000));
    }

    #[test]
    fn the_queue_holds_its_number_of_packets_and_drops_the_tail() {
        let mut queue = queue(1_000_000, 3);
        let fates: Vec<Option<u64>> = (0..5).map(|_| queue.pass(0, 97)).collect();
        assert_eq!(fates, [Some(1_000), Some(2_000), Some(3_000), None, None]);
        assert_eq!(queue.pass(999, 97), None, "the first is still on its way out");
        assert_eq!(queue.pass(1_000, 97), Some(4_000), "a place is free as the first has left");
        assert_eq!(queue.pass(1_000, 97), None);
    }

    #[test]
    fn a_new_rate_holds_for_what_comes_after_it() {
        let mut queue = queue(1_000_000, 10);
        assert_eq!(queue.pass(0, 97), Some(1_000));
        queue.set(&Profile { rate_bps: Some(2_000_000), ..Profile::default() });
        assert_eq!(queue.pass(0, 97), Some(1_500));
        queue.set(&Profile::default());
        assert_eq!(queue.pass(3, 97), Some(3), "without a rate nothing waits");
    }

    #[test]
    fn the_ends_of_the_number_range_do_not_overflow() {
        let mut slow = queue(1, usize::MAX);
        assert_eq!(slow.pass(u64::MAX, usize::MAX), Some(u64::MAX));
        assert_eq!(slow.pass(u64::MAX, usize::MAX), Some(u64::MAX));
        let mut fast = queue(u64::MAX, usize::MAX);
        assert_eq!(fast.pass(u64::MAX, usize::MAX), Some(u64::MAX));
    }
}
