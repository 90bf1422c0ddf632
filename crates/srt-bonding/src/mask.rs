//! What a receiver is told that a link will not bring.
//!
//! A libsrt receiver keeps each link's losses apart, so a number that another link carries is missing on this one. A DROPREQ clears
//! it. When one may be sent was measured against libsrt 1.5.5 (`core.cpp: processCtrlDropReq`, `list.cpp: CRcvLossList::remove`):
//!
//! - after the first packet of a run of own numbers, never before it: else a tail of the run before that was lost is reported once,
//!   and not again;
//! - again every 10 ms, the same old range: else its play clock may sleep through a packet's time;
//! - on a link that carries nothing, 4 times a second: else its next packet is too far ahead, and libsrt closes the link;
//! - instead of KEEPALIVEs, which move a member's play clock there.

use std::collections::VecDeque;

use srt_protocol::{
    stream::SeqRange,
    time::{Instant, Micros},
    types::SeqNumber,
};

/// A range is told at the end of its run, or this long after its first packet.
const RUN_WAIT: Micros = Micros::from_millis(10);
/// Time between two repetitions while the stream runs.
const KICK: Micros = Micros::from_millis(10);
/// Time between two tellings on a link that carries nothing.
const KEEP_UP: Micros = Micros::from_millis(250);
/// A sign of life where nothing else is said.
const ALIVE: Micros = Micros::from_secs(1);
/// Ranges that wait to be told again at most.
const REPEATS_MAX: usize = 16;

/// What one link tells of the numbers it did not carry.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    /// Everything is hidden that other links carry, all the time; otherwise what was skipped now and then.
    full: bool,
    latency: Micros,
    /// The number after the last that was carried here, or hidden.
    next: SeqNumber,
    carried_at: Option<Instant>,
    pending: Option<(SeqRange, Instant)>,
    last: Option<SeqRange>,
    told_at: Instant,
    repeat: VecDeque<SeqRange>,
}

impl Mask {
    /// `next` is where the peer expects the link to begin; `full` is for a libsrt that shares the stream over its links.
    pub(crate) const fn new(now: Instant, next: SeqNumber, full: bool, latency: Micros) -> Self {
        Self {
            full,
            latency,
            next,
            carried_at: None,
            pending: None,
            last: None,
            told_at: now,
            repeat: VecDeque::new(),
        }
    }

    /// `seq` left here, not as a copy of what other links carried before.
    pub(crate) fn on_carried(&mut self, now: Instant, seq: SeqNumber) {
        if seq.is_before(self.next) {
            return;
        }
        if seq != self.next
            && let Some((waiting, _)) = self.pending.replace(((self.next, seq.prev()), now))
        {
            self.repeat(waiting);
        }
        self.next = seq.next();
        self.carried_at = Some(now);
    }

    /// Whether `seq` would come after all that was carried or hidden here.
    pub(crate) const fn in_place(&self, seq: SeqNumber) -> bool {
        !seq.is_before(self.next)
    }

    /// The run is over: another link goes on.
    pub(crate) fn on_run_ended(&mut self) {
        if let Some((_, since)) = &mut self.pending {
            *since = Instant::default();
        }
    }

    /// The peer misses what this link did not carry.
    pub(crate) fn on_foreign(&mut self, now: Instant, first: SeqNumber, last: SeqNumber, rtt: Micros) {
        let told =
            last.is_before(self.next) && self.pending.is_none_or(|((from, _), _)| last.is_before(from));
        if told && (!self.full || now.saturating_since(self.told_at) > rtt) {
            self.repeat((first, last));
        }
    }

    /// What to tell now. `stream_next` is the first number that is not done with; `running` while packets are to be played.
    pub(crate) fn poll(&mut self, now: Instant, stream_next: SeqNumber, running: bool) -> Option<SeqRange> {
        let at = self.next_at(stream_next, running)?;
        if at > now {
            return None;
        }
        let keeps_up = self.behind(stream_next) && self.keeps_up_at() <= now;
        self.told_at = now;
        if let Some(range) = self.repeat.pop_front() {
            return Some(range);
        }
        if let Some((range, _)) = self.pending.take_if(|(_, since)| *since + RUN_WAIT <= now) {
            self.last = Some(range);
            return Some(range);
        }
        if keeps_up {
            let range = (self.next, stream_next.prev());
            self.next = stream_next;
            self.last = Some(range);
            return Some(range);
        }
        let below = self.next.prev();
        Some(self.last.unwrap_or((below, below)))
    }

    /// When [`poll`](Self::poll) has something.
    pub(crate) fn next_at(&self, stream_next: SeqNumber, running: bool) -> Option<Instant> {
        let mut next = self.full.then_some(self.told_at + ALIVE);
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |next: Instant| next.min(at)));
        if !self.repeat.is_empty() {
            sooner(Instant::default());
        }
        if let Some((_, since)) = self.pending {
            sooner(since + RUN_WAIT);
        }
        if self.full && running && self.last.is_some() {
            sooner(self.told_at + KICK);
        }
        if self.behind(stream_next) {
            sooner(self.keeps_up_at());
        }
        next
    }

    fn repeat(&mut self, range: SeqRange) {
        if self.repeat.len() < REPEATS_MAX && !self.repeat.contains(&range) {
            self.repeat.push_back(range);
        }
    }

    fn keeps_up_at(&self) -> Instant {
        // What is lost of the last run has to be reported first.
        let quiet = self.carried_at.map(|at| at + self.latency).unwrap_or_default();
        quiet.max(self.told_at + KEEP_UP)
    }

    fn behind(&self, stream_next: SeqNumber) -> bool {
        self.pending.is_none() && self.next.is_before(stream_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1_000)
    }

    fn seq(number: u32) -> SeqNumber {
        SeqNumber::new(number)
    }

    #[test]
    fn what_others_carry_is_told_after_the_first_packet_of_a_run() {
        let mut mask = Mask::new(at(0), seq(1), true, Micros::from_millis(200));
        for n in 1..=4 {
            mask.on_carried(at(0), seq(n));
        }
        assert_eq!(mask.poll(at(5), seq(5), true), None);
        mask.on_carried(at(8), seq(9));
        assert_eq!(mask.poll(at(9), seq(10), true), None, "not at once");
        assert_eq!(mask.poll(at(18), seq(18), true), Some((seq(5), seq(8))));
        assert_eq!(mask.poll(at(28), seq(18), true), Some((seq(5), seq(8))), "and again every 10 ms");
        mask.on_carried(at(30), seq(20));
        mask.on_run_ended();
        assert_eq!(mask.poll(at(30), seq(21), true), Some((seq(10), seq(19))));
    }

    #[test]
    fn a_link_that_carries_nothing_keeps_up_once_its_last_packets_are_played() {
        let mut mask = Mask::new(at(0), seq(1), false, Micros::from_millis(200));
        mask.on_carried(at(100), seq(1));
        assert_eq!(mask.poll(at(299), seq(50), true), None);
        assert_eq!(mask.poll(at(300), seq(50), true), Some((seq(2), seq(49))));
        assert_eq!(mask.poll(at(500), seq(90), true), None);
        assert_eq!(mask.poll(at(550), seq(90), true), Some((seq(50), seq(89))));
        assert_eq!(mask.next_at(seq(90), true), None, "nothing to tell");
    }

    #[test]
    fn a_masked_link_gives_a_sign_of_life_every_second() {
        let mut mask = Mask::new(at(0), seq(1), true, Micros::from_millis(200));
        assert_eq!(mask.poll(at(999), seq(1), false), None);
        assert_eq!(mask.poll(at(1_000), seq(1), false), Some((seq(0), seq(0))));
    }
}
