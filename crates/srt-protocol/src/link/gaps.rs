//! Holes seen on this link: when a hole counts as loss, and when to ask for it (again) (draft §4.8.2).
//!
//! A hole is reported after a reorder window in *time*, which starts at zero and learns only from late packets without
//! the R flag. A report is repeated when its answer is overdue, about one round trip later, and never when the answer
//! would come after the play time. Where a try failed, or no more than two fit before that, the report goes twice.
//!
//! libsrt: counts packets instead of time (LOSSMAXTTL) and repeats every report on a blind period (`checkNAKTimer`).

use std::collections::VecDeque;

use super::rtt::Rtt;
use crate::{
    stream::{SeqRange, count},
    time::{Instant, Micros},
    types::SeqNumber,
};

/// Holes kept at most; beyond that the newest ones grow together.
const HOLES_MAX: usize = 16_384;
/// The least time between two reports of the same hole.
const REPEAT_MIN: Micros = Micros::from_millis(10);
/// A hole that waits for LOSSMAXTTL packets is reported after this at the latest.
const TTL_WAIT_MAX: Micros = Micros::from_millis(20);
/// Packets in order that take one packet off the reorder tolerance.
const IN_ORDER_RUN: u32 = 50;

/// A run of missing packets.
#[derive(Clone, Copy, Debug)]
struct Hole {
    first: SeqNumber,
    last: SeqNumber,
    found: Instant,
    /// Packets seen on the link when it was found.
    found_after: u64,
    /// When to report it (again); `None` where a report makes no sense any more.
    report_at: Option<Instant>,
    reports: u8,
    reported_at: Instant,
    /// The next report is the second copy of the last one.
    copy_next: bool,
    /// When the packet after it is played.
    deadline: Option<Instant>,
}

/// A hole, or part of it, that a packet filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Time since the hole was seen.
    pub(crate) after: Micros,
}

/// The holes of a link, and what it learned about reordering.
#[derive(Debug)]
pub(crate) struct Gaps {
    holes: VecDeque<Hole>,
    /// Number after the highest seen on this link.
    next: SeqNumber,
    /// Nothing before this is waited for, whichever link brought it.
    floor: SeqNumber,
    window: ReorderWindow,
    /// LOSSMAXTTL.
    tolerance_max: u32,
    tolerance: u32,
    in_order_run: u32,
    packets: u64,
    /// Packets asked for at least once.
    asked: u64,
    /// Not later than the earliest `report_at`.
    earliest_report: Option<Instant>,
}

impl Gaps {
    pub(crate) fn new(isn: SeqNumber, loss_max_ttl: u32) -> Self {
        Self {
            holes: VecDeque::new(),
            next: isn,
            floor: isn,
            window: ReorderWindow::default(),
            tolerance_max: loss_max_ttl,
            tolerance: loss_max_ttl,
            in_order_run: 0,
            packets: 0,
            asked: 0,
            earliest_report: None,
        }
    }

    /// Number after the highest seen on this link.
    pub(crate) const fn next(&self) -> SeqNumber {
        self.next
    }

    /// The first number this link has not brought, and is still hoped for: what an ACK names.
    pub(crate) fn first_missing(&self) -> SeqNumber {
        self.holes.front().map_or(self.next, |hole| hole.first)
    }

    /// Packets missing.
    pub(crate) fn missing(&self) -> usize {
        self.holes.iter().map(|hole| count(hole.first, hole.last)).sum()
    }

    /// The reorder tolerance in packets, as LOSSMAXTTL lets it grow.
    pub(crate) const fn tolerance(&self) -> u32 {
        self.tolerance
    }

    /// The most packets LOSSMAXTTL lets the tolerance grow to.
    pub(crate) fn set_tolerance_max(&mut self, packets: u32) {
        self.tolerance_max = packets;
        self.tolerance = packets;
    }

    /// The reorder window in force.
    pub(crate) fn window(&self) -> Micros {
        self.window.get()
    }

    /// The first packet of a link that joined others is `seq`: the link begins where its peer stands, not where the handshake said.
    pub(crate) fn settle(&mut self, seq: SeqNumber) {
        if self.packets == 0 && seq.is_before(self.next) {
            (self.next, self.floor) = (seq, seq);
        }
    }

    /// From where on a packet of this link is news: its own position, or that of the stream where this is further.
    pub(crate) const fn position(&self) -> SeqNumber {
        if self.next.is_before(self.floor) { self.floor } else { self.next }
    }

    /// Another link has brought `seq`: it is missed no more. That says nothing of reordering on this one.
    pub(crate) fn on_elsewhere(&mut self, seq: SeqNumber) {
        if !self.holes.is_empty() && seq.is_before(self.next) {
            self.take_out(seq);
        }
    }

    /// Packets that were asked for, each counted once.
    pub(crate) const fn asked(&self) -> u64 {
        self.asked
    }

    /// Takes a packet of the link. Tells the hole it opens, where it opens one.
    ///
    /// `deadline` is when it is played; `window_max` bounds the reorder window; `elsewhere` is how long other links may take yet to
    /// bring what is missing here.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        seq: SeqNumber,
        retransmitted: bool,
        deadline: Option<Instant>,
        (window_max, elsewhere): (Micros, Micros),
    ) -> (Option<SeqRange>, Option<Filled>) {
        self.packets += 1;
        self.count_down(now);
        let ahead = seq.distance_from(self.next);
        if ahead < 0 {
            return (None, self.fill(now, seq, retransmitted));
        }
        self.in_order_run += 1;
        if self.in_order_run >= IN_ORDER_RUN && self.tolerance > 0 {
            self.in_order_run = 0;
            self.tolerance -= 1;
        }
        let first = if self.next.is_before(self.floor) { self.floor } else { self.next };
        let hole = first.is_before(seq).then(|| (first, seq.prev()));
        if let Some((first, last)) = hole {
            self.open(now, first, last, deadline, (window_max, elsewhere));
        }
        self.next = seq.next();
        (hole, None)
    }

    /// A hole that waits for LOSSMAXTTL packets has seen them: its report is due.
    fn count_down(&mut self, now: Instant) {
        if self.tolerance == 0 {
            return;
        }
        // Those that wait are the newest, and no more of them than packets are waited for.
        let waiting =
            self.holes.iter().rev().take_while(|hole| hole.reports == 0 && hole.report_at.is_some()).last();
        if let Some(hole) = waiting
            && let Some(at) = hole.report_at
            && self.packets - hole.found_after >= u64::from(self.tolerance)
        {
            let at = at.max(now);
            self.earliest_report = Some(self.earliest_report.map_or(at, |earliest| earliest.min(at)));
        }
    }

    /// The peer says that `first..=last` will not come on this link.
    pub(crate) fn give_up(&mut self, first: SeqNumber, last: SeqNumber) {
        if last.is_before(first) {
            return;
        }
        let mut index = self.index_of(first);
        while let Some(&hole) = self.holes.get(index) {
            if hole.first.is_after(last) {
                break;
            }
            let (low, high) = (hole.first.is_before(first), hole.last.is_after(last));
            match (low, high) {
                (false, false) => {
                    self.holes.remove(index);
                    continue;
                }
                (true, false) => self.holes[index].last = first.prev(),
                (false, true) => self.holes[index].first = last.next(),
                (true, true) => {
                    self.holes[index].last = first.prev();
                    self.holes.insert(index + 1, Hole { first: last.next(), ..hole });
                    break;
                }
            }
            index += 1;
        }
        if !first.is_after(self.next) && !last.is_before(self.next) {
            self.next = last.next();
        }
    }

    /// Everything before `next` was played or given up. What this link has brought is not moved by that: an ACK on it must not
    /// name what another link brought.
    pub(crate) fn forget_before(&mut self, next: SeqNumber) {
        if self.floor.is_before(next) {
            self.floor = next;
        }
        while let Some(hole) = self.holes.front_mut() {
            if !hole.first.is_before(next) {
                break;
            }
            if hole.last.is_before(next) {
                self.holes.pop_front();
            } else {
                hole.first = next;
            }
        }
    }

    /// Holes whose time is over at `now` are hoped for no more.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.holes.front().is_some_and(|hole| hole.deadline.is_some_and(|deadline| deadline <= now)) {
            self.holes.pop_front();
        }
    }

    /// When [`due`](Self::due) will have something.
    pub(crate) const fn next_report(&self) -> Option<Instant> {
        self.earliest_report
    }

    /// Puts the holes to report now into `ranges` (cleared first), at most `max` of them, and plans the next report of
    /// each. `repeat` is false where NAKREPORT is off: then each hole is reported once.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        rtt: &Rtt,
        repeat: bool,
        max: usize,
        ranges: &mut Vec<SeqRange>,
    ) {
        ranges.clear();
        if self.earliest_report.is_none_or(|at| at > now) {
            return;
        }
        let mut earliest: Option<Instant> = None;
        for hole in &mut self.holes {
            let Some(at) = hole.report_at else { continue };
            let waits = hole.reports == 0
                && self.packets - hole.found_after < u64::from(self.tolerance)
                && now < hole.found + TTL_WAIT_MAX;
            if at <= now && !waits && ranges.len() < max {
                let in_time = hole.deadline.is_none_or(|deadline| now + rtt.soonest() < deadline);
                if in_time {
                    ranges.push((hole.first, hole.last));
                    if hole.reports == 0 {
                        self.asked += count(hole.first, hole.last) as u64;
                    }
                    hole.reports = hole.reports.saturating_add(1);
                    hole.reported_at = now;
                }
                hole.report_at = if !in_time || !repeat { None } else { Some(hole.plan_next(now, rtt)) };
            }
            let next = if waits { Some(at.max(hole.found + TTL_WAIT_MAX)) } else { hole.report_at };
            earliest = match (earliest, next) {
                (Some(earliest), Some(next)) => Some(earliest.min(next)),
                (earliest, next) => earliest.or(next),
            };
        }
        self.earliest_report = earliest;
        if !ranges.is_empty() && repeat {
            self.carry_along(now, rtt, max, ranges);
        }
    }

    /// A report that goes anyway names once more what was reported shortly before: that report may have been lost. Who has it
    /// ignores this one, as the answer to it cannot have arrived.
    fn carry_along(&self, now: Instant, rtt: &Rtt, max: usize, ranges: &mut Vec<SeqRange>) {
        let since = now - rtt.smoothed() / 2;
        let due = ranges.len();
        for hole in self.holes.iter().rev() {
            if hole.found < since && hole.reported_at < since {
                // Older ones may have been reported again since, but each time twice.
                break;
            }
            let recent = hole.reports > 0 && hole.reported_at < now && hole.reported_at >= since;
            if recent && ranges.len() < max && hole.deadline.is_none_or(|at| now + rtt.soonest() < at) {
                ranges.push((hole.first, hole.last));
            }
        }
        if ranges.len() > due {
            let first = self.holes.front().map_or(self.next, |hole| hole.first);
            ranges.sort_unstable_by_key(|range| range.0.distance_from(first));
        }
    }

    /// The round trip was measured: reports that wait for an answer wait no longer than it takes.
    pub(crate) fn on_round_trip(&mut self, rtt: &Rtt) {
        let answer = rtt.overdue().max(REPEAT_MIN);
        for hole in self.holes.iter_mut().filter(|hole| hole.reports > 0) {
            let sooner = hole.reported_at + answer;
            if hole.report_at.is_some_and(|at| at > sooner) {
                hole.report_at = Some(sooner);
                self.earliest_report = self.earliest_report.map(|earliest| earliest.min(sooner));
            }
        }
    }

    fn open(
        &mut self,
        now: Instant,
        first: SeqNumber,
        last: SeqNumber,
        deadline: Option<Instant>,
        (window_max, elsewhere): (Micros, Micros),
    ) {
        if self.holes.len() >= HOLES_MAX
            && let Some(newest) = self.holes.back_mut()
        {
            // What lies between counts as missing too: an ACK must not name what never came.
            newest.last = last;
            return;
        }
        let report_at = now + self.window.current(now).max(elsewhere).min(window_max);
        self.holes.push_back(Hole {
            first,
            last,
            found: now,
            found_after: self.packets,
            report_at: Some(report_at),
            reports: 0,
            reported_at: now,
            copy_next: false,
            deadline,
        });
        self.earliest_report =
            Some(self.earliest_report.map_or(report_at, |earliest| earliest.min(report_at)));
    }

    fn take_out(&mut self, seq: SeqNumber) -> Option<Hole> {
        let index = self.index_of(seq);
        let hole = *self.holes.get(index).filter(|hole| !seq.is_before(hole.first))?;
        match (hole.first == seq, hole.last == seq) {
            (true, true) => {
                self.holes.remove(index);
            }
            (true, false) => self.holes[index].first = seq.next(),
            (false, true) => self.holes[index].last = seq.prev(),
            (false, false) => {
                self.holes[index].last = seq.prev();
                self.holes.insert(index + 1, Hole { first: seq.next(), ..hole });
            }
        }
        Some(hole)
    }

    fn fill(&mut self, now: Instant, seq: SeqNumber, retransmitted: bool) -> Option<Filled> {
        let hole = self.take_out(seq)?;
        let after = now.saturating_since(hole.found);
        if !retransmitted {
            self.in_order_run = 0;
            let distance = self.next.distance_from(seq).unsigned_abs();
            self.tolerance = self.tolerance.max(distance.min(self.tolerance_max));
            self.window.learn(now, after);
        }
        Some(Filled { after })
    }

    /// Index of the first hole that ends at or after `seq`.
    fn index_of(&self, seq: SeqNumber) -> usize {
        self.holes.partition_point(|hole| hole.last.is_before(seq))
    }
}

impl Hole {
    /// When to report next, having just reported.
    fn plan_next(&mut self, now: Instant, rtt: &Rtt) -> Instant {
        let answer = rtt.overdue().max(REPEAT_MIN);
        let two_left = self.deadline.is_some_and(|deadline| now + answer * 2 + rtt.soonest() >= deadline);
        let failed_before = self.deadline.is_some() && self.reports > 1;
        self.copy_next = !self.copy_next && (two_left || failed_before);
        if self.copy_next {
            return now + second_copy_after(rtt);
        }
        now + answer
    }
}

/// How long after a packet its second copy follows, so that one burst of loss does not take both.
pub(crate) fn second_copy_after(rtt: &Rtt) -> Micros {
    (rtt.smoothed() / 8).clamp(Micros::from_millis(1), Micros::from_millis(10))
}

/// How late packets come that were not lost: the longest of the last few seconds, and a little.
#[derive(Clone, Debug, Default)]
struct ReorderWindow {
    current: Micros,
    previous: Micros,
    turned: Instant,
}

/// How long a late packet is remembered, at least.
const MEMORY: Micros = Micros::from_secs(4);

impl ReorderWindow {
    fn learn(&mut self, now: Instant, late: Micros) {
        self.turn(now);
        self.current = self.current.max(late + late / 8 + Micros::from_micros(200));
    }

    fn current(&mut self, now: Instant) -> Micros {
        self.turn(now);
        self.get()
    }

    fn get(&self) -> Micros {
        self.current.max(self.previous)
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_since(self.turned);
        if age >= MEMORY {
            self.previous = if age >= MEMORY * 2 { Micros::ZERO } else { self.current };
            self.current = Micros::ZERO;
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const NO_LIMIT: Micros = Micros::from_secs(1);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn seq(number: u32) -> SeqNumber {
        SeqNumber::new(number)
    }

    fn rtt(ms: u64) -> Rtt {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.sample(Micros::from_millis(ms));
        }
        rtt
    }

    fn due(gaps: &mut Gaps, now: Instant, rtt: &Rtt) -> Vec<(u32, u32)> {
        let mut ranges = Vec::new();
        gaps.due(now, rtt, true, 100, &mut ranges);
        ranges.iter().map(|range| (range.0.value(), range.1.value())).collect()
    }

    #[test]
    fn a_hole_is_reported_at_once_and_again_when_the_answer_is_overdue() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(40));
        gaps.on_packet(at(0), seq(1), false, None, (NO_LIMIT, Micros::ZERO));
        let (hole, _) = gaps.on_packet(at(1), seq(4), false, Some(at(1_000)), (NO_LIMIT, Micros::ZERO));
        assert_eq!(hole, Some((seq(2), seq(3))));
        assert_eq!(due(&mut gaps, at(1), &rtt), [(2, 3)]);
        let again = gaps.next_report().unwrap();
        assert!((at(41)..=at(45)).contains(&again), "{again:?}");
        assert_eq!(due(&mut gaps, at(40), &rtt), []);
        gaps.on_packet(at(42), seq(2), true, Some(at(1_000)), (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(46), &rtt), [(3, 3)]);
    }

    #[test]
    fn late_originals_teach_a_window_and_resends_do_not() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(40));
        gaps.on_packet(at(1), seq(2), false, None, (NO_LIMIT, Micros::ZERO));
        gaps.on_packet(at(50), seq(1), true, None, (NO_LIMIT, Micros::ZERO));
        assert_eq!(gaps.window(), Micros::ZERO);
        gaps.on_packet(at(51), seq(4), false, None, (NO_LIMIT, Micros::ZERO));
        gaps.on_packet(at(56), seq(3), false, None, (NO_LIMIT, Micros::ZERO));
        assert!((Micros::from_millis(5)..Micros::from_millis(7)).contains(&gaps.window()));
        gaps.on_packet(at(60), seq(6), false, None, (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(64), &rtt), []);
        assert_eq!(due(&mut gaps, at(66), &rtt), [(5, 5)]);
        gaps.on_packet(at(70), seq(8), false, None, (Micros::from_millis(1), Micros::ZERO));
        assert_eq!(
            due(&mut gaps, at(71), &rtt),
            [(5, 5), (7, 7)],
            "the window is bounded by what the latency leaves"
        );
        gaps.on_packet(at(20_000), seq(10), false, None, (NO_LIMIT, Micros::ZERO));
        assert_eq!(gaps.window(), Micros::ZERO, "what was learned is forgotten");
    }

    #[test]
    fn no_report_goes_out_whose_answer_would_come_too_late() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(100));
        gaps.on_packet(at(0), seq(3), false, Some(at(90)), (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(0), &rtt), []);
        assert_eq!(gaps.next_report(), None);
        assert_eq!(gaps.first_missing(), seq(1));
        gaps.expire(at(90));
        assert_eq!(gaps.first_missing(), seq(4));
    }

    #[test]
    fn the_last_tries_go_twice() {
        for (deadline, reports) in [(60, &[0, 5][..]), (110, &[0, 5, 45, 50]), (170, &[0, 40, 45, 85, 90])] {
            let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(40));
            gaps.on_packet(at(0), seq(2), false, Some(at(deadline)), (NO_LIMIT, Micros::ZERO));
            let went: Vec<u64> =
                (0..deadline).filter(|&ms| !due(&mut gaps, at(ms), &rtt).is_empty()).collect();
            assert_eq!(went, reports, "played at {deadline} ms");
        }
    }

    #[test]
    fn a_report_names_once_more_what_was_reported_just_before() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(40));
        gaps.on_packet(at(0), seq(2), false, Some(at(500)), (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(0), &rtt), [(1, 1)]);
        gaps.on_packet(at(10), seq(5), false, Some(at(510)), (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(10), &rtt), [(1, 1), (3, 4)]);
        gaps.on_packet(at(25), seq(7), false, Some(at(525)), (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(25), &rtt), [(3, 4), (6, 6)], "half a round trip, and no longer");
        assert_eq!(due(&mut gaps, at(30), &rtt), [], "alone it is no reason to report");
    }

    #[test]
    fn where_nothing_is_played_by_time_a_report_goes_once() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(40));
        gaps.on_packet(at(0), seq(2), false, None, (NO_LIMIT, Micros::ZERO));
        let went: Vec<u64> = (0..130).filter(|&ms| !due(&mut gaps, at(ms), &rtt).is_empty()).collect();
        assert_eq!(went, [0, 40, 80, 120]);
    }

    #[test]
    fn lossmaxttl_waits_for_packets_and_adapts() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 3), rtt(40));
        gaps.on_packet(at(0), seq(2), false, None, (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(0), &rtt), []);
        for n in 3..=5 {
            gaps.on_packet(at(1), seq(n), false, None, (NO_LIMIT, Micros::ZERO));
        }
        assert_eq!(due(&mut gaps, at(1), &rtt), [(1, 1)]);
        assert_eq!(gaps.tolerance(), 3);
        gaps.on_packet(at(2), seq(7), false, None, (NO_LIMIT, Micros::ZERO));
        assert_eq!(due(&mut gaps, at(2), &rtt), []);
        assert_eq!(due(&mut gaps, at(22), &rtt), [(6, 6)], "where no packets come, time does");
        for n in 8..=60 {
            gaps.on_packet(at(30), seq(n), false, None, (NO_LIMIT, Micros::ZERO));
        }
        assert_eq!(gaps.tolerance(), 2);
    }

    #[test]
    fn what_the_peer_gives_up_is_no_hole() {
        let (mut gaps, rtt) = (Gaps::new(seq(1), 0), rtt(40));
        gaps.on_packet(at(0), seq(11), false, None, (NO_LIMIT, Micros::ZERO));
        gaps.give_up(seq(3), seq(5));
        assert_eq!(due(&mut gaps, at(0), &rtt), [(1, 2), (6, 10)]);
        gaps.give_up(seq(6), seq(20));
        assert_eq!(gaps.next(), seq(21));
        gaps.give_up(seq(40), seq(50));
        assert_eq!(gaps.next(), seq(21), "beyond what is next it says nothing");
        assert_eq!(gaps.missing(), 2);
    }

    #[test]
    fn more_holes_than_can_be_kept_are_never_taken_as_received() {
        let mut gaps = Gaps::new(seq(0), 0);
        for n in 1..=40_000 {
            gaps.on_packet(at(0), seq(n * 2), false, None, (NO_LIMIT, Micros::ZERO));
        }
        assert_eq!(gaps.first_missing(), seq(0));
        assert_eq!(gaps.holes.len(), HOLES_MAX);
        gaps.give_up(seq(0), seq(79_998));
        assert_eq!(gaps.first_missing(), seq(79_999));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn knows_exactly_what_is_missing(
            isn in any::<u32>(),
            ops in prop::collection::vec((0u8..8, 0u32..60, 0u32..8), 1..60),
        ) {
            let isn = seq(isn);
            let mut gaps = Gaps::new(isn, 0);
            let (mut next, mut floor, mut missing) = (0u32, 0u32, BTreeSet::new());
            for (op, offset, len) in ops {
                match op {
                    0..=5 => {
                        gaps.on_packet(at(0), isn + offset, false, None, (NO_LIMIT, Micros::ZERO));
                        if offset >= next { missing.extend(next.max(floor)..offset); next = offset + 1; }
                        missing.remove(&offset);
                    }
                    6 => {
                        gaps.give_up(isn + offset, isn + (offset + len));
                        missing.retain(|n| !(offset..=offset + len).contains(n));
                        if offset <= next && offset + len >= next { next = offset + len + 1; }
                    }
                    _ => {
                        gaps.forget_before(isn + offset / 2);
                        missing.retain(|&n| n >= offset / 2);
                        floor = floor.max(offset / 2);
                    }
                }
                prop_assert_eq!(gaps.next(), isn + next);
                prop_assert_eq!(gaps.missing(), missing.len());
                prop_assert_eq!(gaps.first_missing(), isn + missing.first().copied().unwrap_or(next));
            }
        }
    }
}
