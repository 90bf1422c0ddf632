//! What arrives: packets and bytes per second, and the link's capacity from probe pairs (draft §5.2.1.3).

use crate::{
    time::{Instant, Micros},
    types::SeqNumber,
};

/// A rate is told over at least this time.
const WINDOW: Micros = Micros::from_millis(100);
/// Without a packet for this long the rate is zero.
const STALE: Micros = Micros::from_secs(2);
/// Probe pairs the capacity is the median of.
const PROBES: usize = 64;
/// Packets per second assumed before the first probe pair, as libsrt does.
const CAPACITY_INITIAL_PPS: u32 = 1_000;

/// Packets and bytes per second, over windows of 100 ms.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReceiveRate {
    start: Option<Instant>,
    packets: u64,
    bytes: u64,
    rate: (u32, u32),
    told_at: Instant,
}

impl ReceiveRate {
    pub(crate) fn on_packet(&mut self, now: Instant, bytes: usize) {
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_since(start);
        if elapsed >= STALE {
            (self.start, self.packets, self.bytes) = (Some(now), 0, 0);
        } else if elapsed >= WINDOW {
            self.rate = (per_second(self.packets, elapsed), per_second(self.bytes, elapsed));
            self.told_at = now;
            (self.start, self.packets, self.bytes) = (Some(now), 0, 0);
        }
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    /// Packets per second and bytes per second.
    pub(crate) fn get(&self, now: Instant) -> (u32, u32) {
        if now.saturating_since(self.told_at) >= STALE { (0, 0) } else { self.rate }
    }
}

/// Capacity of the link: the time between the two packets of a pair that left back to back (numbers 16n and 16n + 1).
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    pair_start: Option<(SeqNumber, Instant)>,
    /// Microseconds at full packet size; the first `len` of them count.
    intervals: [u32; PROBES],
    len: usize,
    turn: usize,
    /// What they come to.
    pps: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { pair_start: None, intervals: [0; PROBES], len: 0, turn: 0, pps: CAPACITY_INITIAL_PPS }
    }
}

impl Capacity {
    pub(crate) fn on_packet(&mut self, now: Instant, seq: SeqNumber, bytes: usize, full_size: usize) {
        match seq.value() % 16 {
            0 => self.pair_start = Some((seq, now)),
            1 => {
                let Some((first, at)) = self.pair_start.take() else { return };
                let interval = now.saturating_since(at).as_micros();
                if first.next() != seq || bytes == 0 || interval == 0 {
                    return; // what was received in one go tells no time
                }
                let scaled = interval.saturating_mul(full_size as u64) / bytes as u64;
                let scaled = u32::try_from(scaled).unwrap_or(u32::MAX).max(1);
                self.intervals[self.turn] = scaled;
                self.turn = (self.turn + 1) % PROBES;
                self.len = (self.len + 1).min(PROBES);
                self.pps = self.median_pps();
            }
            _ => self.pair_start = None,
        }
    }

    /// Full packets per second.
    pub(crate) const fn pps(&self) -> u32 {
        self.pps
    }

    fn median_pps(&self) -> u32 {
        let mut sorted = self.intervals;
        let (_, median, _) = sorted[..self.len].select_nth_unstable(self.len / 2);
        1_000_000 / *median
    }
}

fn per_second(count: u64, elapsed: Micros) -> u32 {
    u32::try_from(count * 1_000_000 / elapsed.as_micros().max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_came_in_the_last_window() {
        let mut rate = ReceiveRate::default();
        for n in 0..1_000_u64 {
            rate.on_packet(Instant::from_micros(n * 500), 1_000);
        }
        assert_eq!(rate.get(Instant::from_micros(500_000)), (2_000, 2_000_000));
        assert_eq!(rate.get(Instant::from_micros(5_000_000)), (0, 0));
    }

    #[test]
    fn capacity_is_the_median_of_probe_pairs() {
        let mut capacity = Capacity::default();
        assert_eq!(capacity.pps(), 1_000);
        for n in 0..160_u32 {
            let interval = if n == 33 { 50_000 } else { 100 };
            capacity.on_packet(
                Instant::from_micros(u64::from(n) * 10_000 + if n % 16 == 1 { interval } else { 10_000 }),
                SeqNumber::new(n),
                1_316,
                1_316,
            );
        }
        assert_eq!(capacity.pps(), 10_000);
    }
}
