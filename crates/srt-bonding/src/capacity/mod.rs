//! What a link may carry now, from what a sender of SRT learns even from a receiver that knows nothing of bonding.
//!
//! Three readings, none of which needs the peer's help beyond SRT's full ACK:
//!
//! - **The queue.** The receiver tells its smoothed round trip. The smoothing is undone, and what a sample has above the
//!   shortest of late is the time spent in the queue of the bottleneck.
//! - **The capacity.** While there is a queue, what comes out of it is what the link carries. Bytes that left between two samples
//!   came out within the time between them plus what the queue grew by: `sent / (elapsed + growth)`. A link whose queue is empty
//!   tells nothing of the kind, so it is never measured then: "a drained link measures beautifully".
//! - **The loss.** A share is lost on many links whatever is sent. More than that is put on trial: the rate is cut to what got
//!   through, and if the excess stays the loss is the link's own.
//!
//! The rate doubles about every round trip until the queue shows for the first time. From then on it grows by a few
//! percent a second, past the known capacity ever faster, until the queue is above a threshold; then the capacity is measured,
//! the queue is drained, and the rate starts again a little below. The threshold is lower on faster links: of two controllers
//! with one queue the bigger yields first, which makes them even.
//!
//! **Growth needs evidence.** The rate grows only while the scheduler has more to send than the link may take, and most of the
//! rate was indeed sent: so never above twice what was carried. A rate that was used is kept while it is not, for
//! [`KEPT`]; then it sinks by halves to twice what is carried, and on an idle link to the initial rate: what is known
//! of a link that nobody used for long is what was known at the beginning.

mod history;
mod loss;
#[cfg(test)]
mod model;
mod round_trip;

use srt_protocol::time::{Instant, Micros};

use history::History;
use loss::{Loss, Verdict};
use round_trip::{Reading, RoundTrip};

/// A full ACK, as far as it concerns the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Round-trip time as the receiver smooths it (draft §4.10).
    pub rtt: Micros,
    /// Its variance.
    pub rtt_variance: Micros,
    /// Bytes per second the receiver sees arrive on this link, headers of IP, UDP and SRT included.
    pub received_bps: Option<u64>,
    /// Packets per second from packet pairs. Too often wrong to steer by; kept for who reads the log.
    pub capacity_pps: Option<u32>,
}

/// What the controller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Doubling until the link shows where it ends.
    Starting,
    /// Near the capacity, probing.
    Steady,
    /// Sending less than the link carries, so that its queue goes away.
    Draining,
    /// What was sent is not answered.
    Silent,
}

/// Why the rate last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is the initial one.
    Initial,
    /// More was wanted and nothing spoke against it.
    Probing,
    /// The queue was above the threshold.
    Queue,
    /// The queue is drained.
    Drained,
    /// The queue would not drain: the way is longer, or the queue is somebody else's.
    LongerWay,
    /// More was lost than usual.
    Loss,
    /// Cutting the rate did not lessen the loss.
    LossIsNotOurs,
    /// Nothing was answered.
    Silence,
    /// The rate was not used for long.
    Unused,
}

/// Congestion control of one link.
///
/// Facts go in by `on_*`, in any order; the answers hold until the next fact. Bounded, and allocates only when made.
#[derive(Clone, Debug)]
pub struct Capacity {
    initial: f64,
    rate: f64,
    /// What the link was last found to carry.
    known: Option<f64>,
    /// When.
    known_at: Instant,
    state: State,
    reason: Reason,
    limited: bool,
    sent: History,
    delivered: Option<History>,
    way: RoundTrip,
    /// A reading came here last, and one that the peer told.
    read: Instant,
    told: Option<Instant>,
    loss: Loss,
    received: [u64; RECEIVED],
    received_count: usize,
    /// Smoothed size of a datagram.
    packet: f64,
    safe: f64,
    /// What left before this left at another rate.
    settled: Instant,
    /// The rate was last cut here, by draining.
    cut: Instant,
    drain_began: Instant,
    drain_least: Micros,
    /// The queue is expected empty for this long before draining ends, so that the shortest round trip is seen again.
    undershoot_us: f64,
    emptied: Option<Instant>,
    dug: Option<Instant>,
    dug_base_us: f64,
    /// The queue is looked at more strictly until it was seen gone.
    rechecking: bool,
    stalls: u8,
    /// The rate before the first of several drains.
    unhindered: f64,
    steered: Instant,
    used: Instant,
    aged: Instant,
    unanswered: Option<Instant>,
    /// Much less arrives than was sent, since then.
    overrun: Option<Instant>,
}

impl Capacity {
    /// Starts at `initial` bytes per second.
    #[must_use]
    pub fn new(now: Instant, initial: u64) -> Self {
        let initial = (initial as f64).clamp(RATE_MIN, RATE_MAX);
        Self {
            initial,
            rate: initial,
            known: None,
            known_at: now,
            state: State::Starting,
            reason: Reason::Initial,
            limited: false,
            sent: History::new(now),
            delivered: None,
            way: RoundTrip::new(now),
            loss: Loss::new(now),
            received: [0; RECEIVED],
            received_count: 0,
            packet: PACKET_INITIAL,
            safe: initial,
            settled: now,
            cut: now,
            drain_began: now,
            drain_least: Micros::ZERO,
            undershoot_us: UNDERSHOOT_US,
            emptied: None,
            dug: None,
            dug_base_us: f64::MAX,
            read: now,
            told: None,
            rechecking: false,
            stalls: 0,
            unhindered: initial,
            steered: now,
            used: now,
            aged: now,
            unanswered: None,
            overrun: None,
        }
    }

    /// A link that was not heard for long, and is again: begins a quarter below what it was taken to carry, and expects that to be
    /// what it carries.
    #[must_use]
    pub fn resumed(&self, now: Instant, before: u64) -> Self {
        let known = self.known.map(|known| known.min(before as f64).max(RATE_MIN));
        let mut resumed = Self::new(now, before - before / 4);
        if known.is_some() {
            (resumed.known, resumed.known_at, resumed.state) = (known, self.known_at, State::Steady);
        }
        resumed
    }

    /// A datagram with data left on this link, the first time or again; its size with the headers of IP and UDP.
    pub fn on_sent(&mut self, now: Instant, wire_bytes: usize) {
        let bytes = u64::try_from(wire_bytes).unwrap_or(u64::MAX).min(PACKET_MAX);
        self.sent.add(now, bytes);
        self.packet += (bytes.max(PACKET_MIN) as f64 - self.packet) / 32.0;
        self.unanswered.get_or_insert(now);
    }

    /// The peer sent a full ACK on this link.
    pub fn on_report(&mut self, now: Instant, report: Report) {
        self.answered(now);
        if let Some(bps) = report.received_bps {
            self.received[self.received_count % RECEIVED] = bps;
            self.received_count += 1;
        }
        if self.way.on_report(now, report.rtt, report.rtt_variance) {
            self.told = Some(now);
            self.on_reading(now);
        } else if now.saturating_since(self.read) > UNREAD {
            self.loss.on_reading(now - Micros::from_micros(whole(self.rtt_us())));
            self.steer_blind(now);
        }
        self.steer(now);
    }

    /// The peer answered at once to what left at `left`: a round trip measured here, with the queue. Counts while the peer tells
    /// none, as a libsrt does before it has played for the first time what other links carry.
    pub fn on_answer(&mut self, now: Instant, left: Instant) {
        self.answered(now);
        let told = self.told.is_some_and(|at| now.saturating_since(at) < UNTOLD);
        if !told && self.way.on_answer(now, left) {
            self.on_reading(now);
            self.steer(now);
        }
    }

    /// A round trip measured here, with nothing queued: the handshake's. Not needed, but with it a link that is too full from its
    /// first packet on is known at once.
    pub fn on_round_trip(&mut self, now: Instant, rtt: Micros) {
        self.way.on_round_trip(now, rtt);
    }

    /// The peer acknowledged `bytes` more of what this link carried: where it tells.
    pub fn on_delivered(&mut self, now: Instant, bytes: u64) {
        self.answered(now);
        self.delivered.get_or_insert_with(|| History::new(now)).add(now, bytes.min(BYTES_MAX));
    }

    /// The peer misses `packets` of what this link carried, each told once.
    pub fn on_lost(&mut self, _now: Instant, packets: u32) {
        self.loss.on_lost(f64::from(packets) * self.packet);
    }

    /// Whether there was more to send than the rate let through.
    pub fn on_limited(&mut self, _now: Instant, limited: bool) {
        self.limited = limited;
    }

    /// The deadline of [`next_timeout`](Self::next_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.silence_at().is_some_and(|at| at <= now) {
            self.unanswered = Some(now);
            self.loss.abandon(now);
            self.set(State::Silent, self.rate / 2.0, Reason::Silence);
        }
        self.age(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` where there is nothing to wait for.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let ages = (self.rate > self.initial).then(|| (self.aged + AGED_EVERY).max(self.used + KEPT));
        [self.silence_at(), ages].into_iter().flatten().min()
    }

    /// Bytes per second to pace the link with, headers of IP and UDP included.
    #[must_use]
    pub fn rate(&self) -> u64 {
        whole(self.rate)
    }

    /// Somewhat less, and steadier: what an encoder may count on.
    #[must_use]
    pub fn safe_rate(&self) -> u64 {
        whole(self.safe.min(self.rate) * 0.92 * (1.0 - self.loss.fraction()))
    }

    /// The time one way with no queue: half the shortest round trip of late, zero before there was one.
    #[must_use]
    pub fn base_delay(&self) -> Micros {
        Micros::from_micros(whole(self.way.base_us() / 2.0))
    }

    /// Time in the queue, as last measured: about a round trip old.
    #[must_use]
    pub fn queueing(&self) -> Micros {
        let queue_us = self.way.newest().map_or(0.0, |reading| self.way.queue_us(reading));
        Micros::from_micros(whole(queue_us))
    }

    /// Time in the queue for what leaves now: as measured, and what was sent since against what the link carries.
    #[must_use]
    pub fn queueing_now(&self, now: Instant) -> Micros {
        Micros::from_micros(whole(self.expected_queue_us(now)))
    }

    /// Share of the packets the peer missed, smoothed over two seconds; 0 to 1.
    #[must_use]
    pub const fn loss(&self) -> f64 {
        self.loss.fraction()
    }

    /// What the controller is doing.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why the rate last changed.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

/// The steps.
impl Capacity {
    fn on_reading(&mut self, now: Instant) {
        self.read = now;
        if let Some(last) = self.way.last() {
            self.loss.on_reading(last.left);
        }
        if let Some(reading) = self.way.newest() {
            self.steer_by_queue(now, reading);
        }
    }

    fn steer(&mut self, now: Instant) {
        self.guard(now);
        if self.state != State::Draining {
            self.steer_by_loss(now);
        }
        self.grow(now);
        self.age(now);
    }

    fn steer_by_queue(&mut self, now: Instant, reading: Reading) {
        let queue_us = self.way.queue_us(reading);
        let threshold_us = self.threshold_us();
        if self.state == State::Draining {
            self.drain(now, reading, queue_us, threshold_us);
            return;
        }
        if reading.left < self.settled {
            // What left during the last drain cannot have made the queue longer, unless the link carries less than was thought.
            if reading.left > self.cut && queue_us > threshold_us {
                match self.flow(self.cut, threshold_us / 4.0) {
                    Some(flow) if flow.rising() && self.state == State::Steady => {
                        self.drain_began = now;
                        self.cut_to(now, flow.carried, queue_us);
                    }
                    _ => {}
                }
            }
            return;
        }
        if queue_us < threshold_us / 2.0 {
            (self.rechecking, self.stalls) = (false, 0);
        }
        let limit_us = if self.rechecking { threshold_us / 2.0 } else { threshold_us };
        if queue_us <= limit_us {
            return;
        }
        let Some(flow) = self.flow(self.settled, limit_us / 4.0) else { return };
        if !self.rechecking {
            self.unhindered = self.rate;
        }
        if self.rechecking && flow.flat() && self.stalled(now) {
            return;
        }
        if flow.sent < self.rate * UNUSED {
            if flow.packets < FEW {
                return; // so little is no evidence: it is jitter, or a longer way
            }
            if self.known.is_some() && flow.flat() {
                // So little makes no queue that stays: the way is longer, and nothing is known of what it carries.
                self.give_up(now);
                return;
            }
        }
        self.loss.abandon(now);
        (self.drain_began, self.drain_least) = (now, Micros::ZERO);
        let shorter = self.way.base_us() < self.dug_base_us - 3_000.0;
        let digs = shorter || self.dug.is_none_or(|at| now.saturating_since(at) > DIG_EVERY);
        if digs {
            (self.dug, self.dug_base_us) = (Some(now), self.way.base_us());
        }
        let packet_us = self.packet / self.rate * 1e6;
        self.undershoot_us = if digs { DIG_US.max(2.0 * packet_us) } else { UNDERSHOOT_US };
        self.cut_to(now, flow.carried, queue_us);
    }

    /// Reports come and none has a new round trip: a queue so full that it drops the ACKACKs. What arrives is what the link carries.
    fn steer_blind(&mut self, now: Instant) {
        if self.state == State::Draining || now.saturating_since(self.cut) < UNREAD * 2 {
            return;
        }
        let sent = self.sent.rate(now, UNREAD);
        let Some(carried) = self.received().map(|received| received.min(sent)) else { return };
        if carried < sent * BLIND {
            self.unhindered = carried;
            self.loss.abandon(now);
            self.dig(now, carried);
        }
    }

    /// Far less arrives than was sent, and that for long: whatever queue and loss seem to say, it is too much.
    fn guard(&mut self, now: Instant) {
        let rtt = Micros::from_micros(whole(self.rtt_us()));
        let sent = self.sent.rate(now, rtt.max(UNREAD));
        let Some(arrives) = self.received_most().filter(|received| *received < sent * OVERRUN) else {
            self.overrun = None;
            return;
        };
        if now.saturating_since(*self.overrun.get_or_insert(now)) > rtt.max(UNREAD) {
            self.overrun = None;
            self.loss.abandon(now);
            self.dig(now, arrives);
        }
    }

    /// While draining: is it done, and does it go as it should?
    fn drain(&mut self, now: Instant, reading: Reading, queue_us: f64, threshold_us: f64) {
        let drained = now.saturating_since(self.drain_began);
        if self.expected_us(now) <= 0.0 {
            self.emptied.get_or_insert(now);
        }
        if self.undershot(now) && drained >= self.drain_least {
            self.rechecking = true;
            self.settle(now, self.known.unwrap_or(self.rate) * BELOW, Reason::Drained);
        } else if drained > DRAIN_LONGEST {
            self.give_up(now);
        } else if queue_us > threshold_us && reading.left > self.cut {
            let Some(flow) = self.flow(self.cut, threshold_us / 4.0) else { return };
            if flow.rising() {
                self.cut_to(now, flow.carried, queue_us);
            } else if flow.flat() && !self.stalled(now) {
                self.cut_to(now, self.known.unwrap_or(flow.carried) * DRAIN, queue_us);
            }
        }
    }

    /// Counts that the queue took no notice of less being sent; true where that is enough and it is not ours.
    fn stalled(&mut self, now: Instant) -> bool {
        self.stalls += 1;
        let enough = self.stalls >= STALLS;
        if enough {
            self.give_up(now);
        }
        enough
    }

    fn give_up(&mut self, now: Instant) {
        self.way.rebase(now);
        self.rechecking = false;
        self.stalls = 0;
        self.know(now, self.unhindered);
        self.settle(now, self.unhindered * BELOW, Reason::LongerWay);
    }

    fn cut_to(&mut self, now: Instant, carried: f64, queue_us: f64) {
        let deeper = ((queue_us - DRAIN_GENTLY_US) / DRAIN_HARD_US).clamp(0.0, DRAIN - DRAIN_DEEPEST);
        self.know(now, carried);
        (self.cut, self.emptied) = (now, None);
        self.set(State::Draining, carried * (DRAIN - deeper), Reason::Queue);
    }

    /// Loss without a queue is a policer's, or that of a queue which was full before it was ever seen empty: looks beneath.
    fn dig(&mut self, now: Instant, known: f64) {
        (self.dug, self.dug_base_us) = (Some(now), self.way.base_us());
        (self.undershoot_us, self.emptied) = (UNDERSHOOT_US, None);
        (self.drain_began, self.drain_least, self.cut) = (now, DIG, now);
        self.know(now, known);
        self.unhindered = known;
        self.set(State::Draining, known * DIG_RATE, Reason::Loss);
    }

    fn know(&mut self, now: Instant, carried: f64) {
        (self.known, self.known_at) = (Some(carried.max(RATE_MIN)), now);
    }

    fn settle(&mut self, now: Instant, rate: f64, reason: Reason) {
        self.settled = now;
        self.loss.restart(now);
        self.set(State::Steady, rate, reason);
    }

    fn steer_by_loss(&mut self, now: Instant) {
        let rtt = Micros::from_micros(whole(self.rtt_us()));
        let noticed = if self.state == State::Starting { NOTICED_STARTING } else { NOTICED };
        match self.loss.judge(now, rtt, &self.sent, self.packet, noticed) {
            Verdict::Usual => {}
            // Who sends so little has not lost a little of it by sending too much.
            Verdict::Excess { sent, carried } if sent < self.rate * UNUSED && carried > sent * MUCH_CAME => {
                self.loss.abandon(now);
            }
            Verdict::Excess { sent, carried } => {
                let carried = carried.max(sent * CUT_MOST);
                // Where the way is not known yet its queue may have been full before it was ever seen empty.
                let below = if self.state == State::Starting { DRAIN } else { BELOW };
                self.set(self.state, carried.min(self.rate) * below, Reason::Loss);
            }
            Verdict::Ours => {
                let known = self.rate / BELOW;
                if self.dug.is_none_or(|at| now.saturating_since(at) > DIG_EVERY) {
                    self.dig(now, known);
                } else {
                    self.know(now, known);
                    self.settle(now, self.rate, Reason::Loss);
                }
            }
            Verdict::NotOurs { before } => {
                let most = self.received_most().map_or(f64::MAX, |received| received * RESTORED_MOST);
                self.set(self.state, before.min(most).max(self.rate), Reason::LossIsNotOurs);
            }
        }
    }

    /// More, where more is wanted, what there is was used, and the last change has shown no harm.
    fn grow(&mut self, now: Instant) {
        let elapsed = now.saturating_since(self.steered).min(GROWTH_STEP);
        self.steered = now;
        let packet_us = self.packet / self.rate * 1e6;
        let span = Micros::from_micros(whole(self.rtt_us().max(8.0 * packet_us).max(100_000.0)));
        let used = self.sent.rate(now, span);
        if used >= USED * self.rate {
            self.used = now;
        }
        self.safe += (self.rate - self.safe) * (micros_f64(elapsed) / 1e6).min(1.0);
        let seen = self.way.newest().is_some_and(|reading| reading.left >= self.settled);
        let queue_us = self.way.last_queue_us();
        let growing = match self.state {
            State::Starting | State::Steady => queue_us < self.threshold_us(),
            State::Draining | State::Silent => false,
        };
        if !(self.limited && seen && growing) || self.loss.on_trial() {
            return;
        }
        let rtt_s = self.rtt_us() / 1e6;
        let doubling = core::f64::consts::LN_2 / (rtt_s * 1.25).max(0.08);
        let (needs, per_second) = match self.known {
            None => (USED_STARTING, doubling),
            Some(known) if self.rate < known * 0.9 => (USED_STARTING, doubling),
            Some(known) if self.rate > known * 1.5 || now.saturating_since(self.known_at) > DOUBTFUL => {
                (USED_STARTING, (0.2 / (rtt_s + 0.1)).min(1.2))
            }
            Some(known) => {
                // Smaller links faster, for fairness; slower where packets are few or jitter hides what it does.
                let by_rate = GROWTH * (GROWTH_AT / self.rate).sqrt().clamp(0.5, 3.0);
                let calm = CALM_US / (CALM_US + (self.way.noise_us() - packet_us).max(0.0));
                let gentle = by_rate.min((1.0 / 700.0 / packet_us * 1e6).max(GROWTH_LEAST)) * calm;
                let beyond = (self.rate / known - 1.04 - gentle * rtt_s).max(0.0);
                (USED, (gentle * (1.0 + 100.0 * beyond)).min((0.1 / (rtt_s + 0.06)).min(0.7)))
            }
        };
        let arrives = self.received().is_none_or(|received| received * ARRIVES_LATE > self.rate);
        if used >= needs * self.rate && arrives {
            let grown = self.rate * (1.0 + per_second * micros_f64(elapsed) / 1e6);
            self.set(self.state, grown.min((2.0 * used).max(self.rate)), Reason::Probing);
        }
    }

    /// What was not used for long is no longer believed.
    fn age(&mut self, now: Instant) {
        let elapsed = now.saturating_since(self.aged);
        if elapsed < AGED_EVERY {
            return;
        }
        self.aged = now;
        if now.saturating_since(self.used) < KEPT {
            return;
        }
        let cautious = self.initial.max(2.0 * self.sent.rate(now, Micros::from_secs(2)));
        if self.rate > cautious {
            let left = 0.5_f64.powf(micros_f64(elapsed) / micros_f64(HALF_LIFE));
            self.set(self.state, cautious + (self.rate - cautious) * left, Reason::Unused);
        }
    }

    /// What the receiver saw arrive, the median of late; nothing where it has seen too little.
    fn received(&self) -> Option<f64> {
        let mut sorted = self.received;
        let told = &mut sorted[..self.received_count.min(RECEIVED)];
        told.sort_unstable();
        told.get(told.len() / 2).filter(|&&median| median > 0).map(|&median| median as f64)
    }

    /// The most it saw of late: where arrivals are uneven the median may be far below what the link carries.
    fn received_most(&self) -> Option<f64> {
        self.received.iter().max().filter(|&&most| most > 0).map(|&most| most as f64)
    }

    fn answered(&mut self, now: Instant) {
        self.unanswered = None;
        if self.state == State::Silent {
            self.known = self.known.or(Some(self.safe));
            self.settled = now;
            self.loss.restart(now);
            self.state = State::Starting;
        }
    }

    fn silence_at(&self) -> Option<Instant> {
        let patience = Micros::from_micros(whole(3.0 * self.rtt_us())).max(PATIENCE);
        (self.rate > RATE_MIN).then_some(self.unanswered?).map(|since| since + patience)
    }

    fn set(&mut self, state: State, rate: f64, reason: Reason) {
        self.state = state;
        self.rate = rate.clamp(RATE_MIN, RATE_MAX);
        self.reason = reason;
    }

    /// Queueing above this is ours to mend. Less on faster links, so that the bigger of two yields first; more where packets take
    /// long, where there is jitter, and a little where the way is long.
    fn threshold_us(&self) -> f64 {
        let by_rate = (THRESHOLD_US * (THRESHOLD_AT / self.rate).sqrt().sqrt()).clamp(8_000.0, 24_000.0);
        let packet_us = self.packet / self.rate * 1e6;
        // A packet on its way out is jitter that is known.
        let noise_us = (1.3 * self.way.noise_us() - packet_us).max(0.0);
        by_rate.max(packet_us) + noise_us + self.way.base_us() / 32.0
    }

    fn rtt_us(&self) -> f64 {
        let newest = self.way.newest().map_or(0.0, |reading| reading.rtt_us);
        self.way.smoothed_us().max(newest)
    }

    /// The queue that what leaves now will find, by what was sent since the last reading left; below zero: idle so long.
    fn expected_us(&self, now: Instant) -> f64 {
        let Some(reading) = self.way.newest() else { return 0.0 };
        let elapsed = micros_f64(now.saturating_since(reading.left));
        let known = self.known.unwrap_or(self.rate);
        self.way.queue_us(reading) + self.sent.between(reading.left, now) / known * 1e6 - elapsed
    }

    fn expected_queue_us(&self, now: Instant) -> f64 {
        self.expected_us(now).max(0.0)
    }

    /// Whether the queue has been empty for long enough, by what was sent.
    fn undershot(&self, now: Instant) -> bool {
        let Some(emptied) = self.emptied else { return false };
        let spare = (1.0 - self.rate / self.known.unwrap_or(self.rate)).max(0.05);
        micros_f64(now.saturating_since(emptied)) * spare >= self.undershoot_us
    }

    /// What went through the link while its queue was above `busy_us`, of what left after `since`. `None` while that was too short.
    fn flow(&self, since: Instant, busy_us: f64) -> Option<Flow> {
        let packet_us = self.packet / self.rate * 1e6;
        let wanted_us = MEASURED_US
            .max(36.0 * self.way.noise_us())
            .max(MEASURED_PACKETS * packet_us)
            .min(MEASURED_MOST_US);
        let newest = self.way.newest()?;
        let busy_us = busy_us.max(self.way.queue_us(newest) / 3.0);
        let since = since + SEEN_AFTER; // so well is it known when a reading left
        let mut oldest = newest;
        for reading in self.way.trail() {
            let span_us = micros_f64(newest.left.saturating_since(reading.left));
            if reading.left < since || self.way.queue_us(reading) < busy_us || span_us > wanted_us {
                break;
            }
            oldest = reading;
        }
        let elapsed_us = micros_f64(newest.left.saturating_since(oldest.left));
        if elapsed_us < wanted_us * 0.6 {
            return None;
        }
        let sent = self.sent.between(oldest.left, newest.left) / elapsed_us * 1e6;
        let grown_us = newest.rtt_us - oldest.rtt_us;
        let excess = self.loss.excess(&self.sent, self.packet);
        let through = sent * elapsed_us / (elapsed_us + grown_us).max(elapsed_us / 4.0) * (1.0 - excess);
        let told = self.delivered.as_ref().map_or(0.0, |delivered| {
            let arrival = |reading: Reading| reading.left + Micros::from_micros(whole(reading.rtt_us));
            delivered.between(arrival(oldest), arrival(newest)) * 1e6
                / (elapsed_us + grown_us).max(elapsed_us / 4.0)
        });
        let carried = if told > 0.0 { (through + told.clamp(0.3 * sent, 1.1 * sent)) / 2.0 } else { through };
        let most = self.received_most().map_or(f64::MAX, |received| received * RECEIVED_MOST);
        let packets = sent * elapsed_us / 1e6 / self.packet;
        Some(Flow { sent, carried: carried.min(most), packets })
    }
}

/// What was given to a link with a queue, and what came out.
#[derive(Clone, Copy, Debug)]
struct Flow {
    sent: f64,
    carried: f64,
    /// How many packets that is told by.
    packets: f64,
}

impl Flow {
    fn rising(self) -> bool {
        self.carried < self.sent * 0.95
    }

    fn flat(self) -> bool {
        !self.rising() && self.carried < self.sent * 1.05
    }
}

fn micros_f64(span: Micros) -> f64 {
    span.as_micros() as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and below zero is zero"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// Bytes per second: 100 kb/s, enough to notice that a link is back.
const RATE_MIN: f64 = 12_500.0;
/// As good as unlimited.
const RATE_MAX: f64 = 1e12;
const PACKET_INITIAL: f64 = 1_360.0;
const PACKET_MIN: u64 = 44;
const PACKET_MAX: u64 = 65_575;
const BYTES_MAX: u64 = 1 << 40;
/// Rates the receiver told, the median of which is looked at.
const RECEIVED: usize = 9;
/// A capacity is at most this much more than what is seen to arrive, which is what random loss takes; loss that is not ours gives
/// back at most that rate.
const RECEIVED_MOST: f64 = 2.0;
const RESTORED_MOST: f64 = 1.6;
/// A rate of which less arrives for long is too high whatever else is seen: random loss is less.
const OVERRUN: f64 = 0.45;
/// A rate of which less arrives, with no round trip measured, is too high.
const BLIND: f64 = 0.9;
/// A rate that doubles is never more than this many times what is seen to arrive.
const ARRIVES_LATE: f64 = 3.0;

/// Who sends less than this share of the rate has not made a queue that neither grows nor shrinks.
const UNUSED: f64 = 0.5;
/// Of a link that is hardly used so many packets tell what it carries, and fewer nothing.
const FEW: f64 = 20.0;
/// What came of what was sent, where nothing much was wrong.
const MUCH_CAME: f64 = 0.75;
/// A capacity that was not met again for this long may have become another.
const DOUBTFUL: Micros = Micros::from_secs(6);
/// After a drain the rate is this share of what the link carries.
const BELOW: f64 = 0.97;
/// While draining it is this share, and less where the queue is long.
const DRAIN: f64 = 0.85;
const DRAIN_DEEPEST: f64 = 0.5;
const DRAIN_GENTLY_US: f64 = 30_000.0;
const DRAIN_HARD_US: f64 = 300_000.0;
/// How far, how long and how often at most the way is looked at for a shorter round trip.
const DIG_RATE: f64 = 0.7;
const DIG: Micros = Micros::from_millis(500);
const DIG_EVERY: Micros = Micros::from_secs(10);
const DRAIN_LONGEST: Micros = Micros::from_secs(5);
/// The queue is drained this far below empty, and each [`DIG_EVERY`] further.
const DIG_US: f64 = 20_000.0;
const UNDERSHOOT_US: f64 = 3_000.0;
/// So often less may be sent without the queue taking notice before the way is taken to have become longer.
const STALLS: u8 = 2;

/// Queueing at [`THRESHOLD_AT`] bytes per second (1 Mb/s) that calls for less.
const THRESHOLD_US: f64 = 20_000.0;
const THRESHOLD_AT: f64 = 125_000.0;
/// Time a capacity is measured over: at least, and at most.
const MEASURED_US: f64 = 60_000.0;
/// When something left is known to this.
const SEEN_AFTER: Micros = Micros::from_millis(10);
const MEASURED_PACKETS: f64 = 20.0;
const MEASURED_MOST_US: f64 = 600_000.0;

/// Share by which the rate grows in a second near the known capacity, at [`GROWTH_AT`] bytes per second (20 Mb/s).
const GROWTH: f64 = 0.04;
const GROWTH_AT: f64 = 2_500_000.0;
/// However few its packets: a rate that has become wrong is not to stay so for long.
const GROWTH_LEAST: f64 = 0.08;
/// Jitter that halves the growth.
const CALM_US: f64 = 15_000.0;
const GROWTH_STEP: Micros = Micros::from_millis(100);
/// Share of the rate that has to have been sent for it to count as used, and while it doubles.
const USED: f64 = 0.85;
const USED_STARTING: f64 = 0.5;
/// Loss beyond the usual that is worth a trial. A rate that doubles soon makes more, and what is usual is not known then.
const NOTICED: f64 = 0.015;
const NOTICED_STARTING: f64 = 0.25;
/// However much is lost, no cut is to less than this share: it was not all at that rate.
const CUT_MOST: f64 = 0.4;

/// A rate is believed for this long without being used.
pub const KEPT: Micros = Micros::from_secs(20);
const HALF_LIFE: Micros = Micros::from_secs(20);
const AGED_EVERY: Micros = Micros::from_secs(1);
/// Without a reading for this long the losses are looked at all the same: the queue may drop the ACKACKs.
const UNREAD: Micros = Micros::from_millis(500);
/// A peer that told no round trip for this long is measured by its answers.
const UNTOLD: Micros = Micros::from_millis(50);
/// Without an answer for this long, and three round trips, a link is silent.
const PATIENCE: Micros = Micros::from_secs(1);

#[cfg(test)]
mod tests {
    use super::{
        model::{Offer, Path, World},
        *,
    };

    fn backlogged(path: Path, seconds: f64) -> World {
        World::new(path, &[Offer::ALL], 1.0).run(seconds)
    }

    #[test]
    fn a_backlogged_link_is_full_and_its_queue_short() {
        let mut bad = 0;
        for queue_ms in [100, 300] {
            for rtt_ms in [10, 40, 100, 300] {
                for mbps in [0.5, 2.0, 4.0, 6.0, 20.0, 100.0] {
                    // Doubling from 1 to 100 Mb/s and one drain take twelve round trips.
                    let begin = 3.0 + f64::from(u8::from(mbps > 50.0)) * rtt_ms as f64 / 100.0;
                    let world = backlogged(Path::new(mbps, rtt_ms, queue_ms), begin + 30.0);
                    let share = world.throughput(0, begin, begin + 30.0) / mbps;
                    let (p90, p99) =
                        (world.queue(0.9, begin, begin + 30.0), world.queue(0.99, begin, begin + 30.0));
                    let dropped = world.dropped(begin, begin + 30.0);
                    // A queue is made of packets: one more than wanted is not too long.
                    let packet_ms = 1.36 * 8.0 / mbps;
                    // And 100 ms of 0.5 Mb/s are not five packets, the initial rate is twice what there is.
                    let good = if mbps < 1.0 {
                        share >= 0.95 && dropped < 0.004 && p99 < queue_ms as f64 + packet_ms
                    } else {
                        share >= 0.96
                            && p90 < f64::max(30.0, rtt_ms as f64 / 4.0) + packet_ms
                            && p99 < queue_ms as f64
                            && dropped < 0.002
                    };
                    bad += u32::from(!good);
                    println!(
                        "{mbps:5.1} Mb/s {rtt_ms:3} ms B {queue_ms:3}: {:5.1} % queue p90 {p90:5.1} p99 {p99:5.1} dropped {:.2} % {}",
                        share * 100.0,
                        dropped * 100.0,
                        if good { "" } else { "<--" },
                    );
                }
            }
        }
        assert_eq!(bad, 0);
    }

    #[test]
    fn answers_measure_the_queue_of_a_peer_that_tells_no_round_trip() {
        let queue = |tells: bool| {
            let (mut now, rtt) = (Instant::from_micros(1_000_000), Micros::from_millis(40));
            let mut capacity = Capacity::new(now, 250_000);
            capacity.on_round_trip(now, rtt);
            for step in 0..40_u64 {
                now += Micros::from_millis(5);
                capacity.on_sent(now, 1_360);
                if tells {
                    let report = Report {
                        rtt,
                        rtt_variance: Micros::from_millis(1),
                        received_bps: None,
                        capacity_pps: None,
                    };
                    capacity.on_report(now, report);
                }
                capacity.on_answer(now, now - rtt - Micros::from_millis(step * 5));
            }
            capacity.queueing()
        };
        assert!(queue(false) >= Micros::from_millis(100), "{:?}", queue(false));
        assert!(queue(true) < Micros::from_millis(20), "{:?}", queue(true));
    }

    #[test]
    fn a_fast_link_is_found_within_eight_round_trips() {
        for rtt_ms in [10, 40, 100, 300] {
            let world = backlogged(Path::new(20.0, rtt_ms, 300), 5.0);
            let took = world.first(0.0, |rate| rate >= 16.0).unwrap();
            let allowed = 8.0 * rtt_ms as f64 / 1e3 + 0.5;
            println!("start {rtt_ms} ms: {took:.2} of {allowed:.2} s");
            assert!(took <= allowed, "{rtt_ms} ms: {took} s");
        }
    }

    #[test]
    fn half_the_capacity_is_followed_and_the_queue_drained() {
        for (mbps, rtt_ms) in
            [(20.0, 10), (20.0, 40), (20.0, 100), (20.0, 300), (4.0, 40), (100.0, 40), (2.0, 100)]
        {
            let mut path = Path::new(mbps, rtt_ms, 300);
            path.capacity.push((10.0, mbps / 2.0));
            let world = backlogged(path, 25.0);
            let took = world.first(10.0, |rate| rate <= mbps / 2.0).unwrap();
            let allowed = 2.0 * rtt_ms as f64 / 1e3 + 0.3;
            let (mean, share) = (
                world.mean_rate(0, 10.0 + allowed, 20.0) * 2.0 / mbps,
                world.throughput(0, 11.0, 25.0) * 2.0 / mbps,
            );
            let queue = world.queue(0.9, 12.0, 25.0);
            println!(
                "half of {mbps} Mb/s {rtt_ms} ms: {took:.2} of {allowed:.2} s, mean {mean:.3}, carried {share:.3}, queue after {queue:.0} ms",
            );
            assert!(took <= allowed && mean <= 1.005 && share > 0.93, "{mbps} Mb/s {rtt_ms} ms");
            assert!(
                queue < f64::max(30.0, rtt_ms as f64 / 4.0) + 2.72 * 8.0 / mbps,
                "{mbps} Mb/s {rtt_ms} ms: {queue} ms"
            );
        }
    }

    #[test]
    fn twice_the_capacity_is_found_within_five_seconds() {
        for (mbps, rtt_ms) in [(10.0, 10), (10.0, 40), (10.0, 100), (10.0, 300), (2.0, 40), (50.0, 40)] {
            for at in [10.0, 10.4, 10.8, 11.2] {
                let mut path = Path::new(mbps, rtt_ms, 300);
                path.capacity.push((at, 2.0 * mbps));
                let world = backlogged(path, 20.0);
                let took = world.first(at, |rate| rate >= 1.8 * mbps).unwrap_or(99.0);
                println!("twice {mbps} Mb/s {rtt_ms} ms: {took:.2} s");
                assert!(took <= 5.0, "{mbps} Mb/s {rtt_ms} ms: {took} s");
            }
        }
    }

    #[test]
    fn random_loss_does_not_push_the_rate_down() {
        for loss in [0.01, 0.05, 0.1] {
            for (mbps, rtt_ms) in [(2.0, 40), (6.0, 40), (20.0, 10), (20.0, 40), (20.0, 100), (20.0, 300)] {
                for seed in 1..=3 {
                    let path = Path { loss, seed, ..Path::new(mbps, rtt_ms, 200) };
                    let world = backlogged(path, 40.0);
                    let share = world.throughput(0, 10.0, 40.0) / mbps / (1.0 - loss);
                    let told = world.flows[0].capacity.loss();
                    println!(
                        "loss {loss} {mbps} Mb/s {rtt_ms} ms: {:.1} % of C, told {told:.3}",
                        share * 100.0
                    );
                    assert!(share >= 0.85, "{loss} {mbps} Mb/s {rtt_ms} ms: {share}");
                    assert!((told - loss).abs() < loss / 2.0 + 0.02, "{told}");
                }
            }
        }
    }

    #[test]
    fn a_policer_is_settled_under() {
        for (mbps, rtt_ms) in [(2.0, 40), (6.0, 40), (20.0, 10), (20.0, 40), (20.0, 100), (20.0, 300)] {
            let path = Path { queue_ms: None, ..Path::new(mbps, rtt_ms, 0) };
            let world = backlogged(path, 40.0);
            let (share, dropped) = (world.throughput(0, 10.0, 40.0) / mbps, world.dropped(10.0, 40.0));
            println!(
                "policer {mbps} Mb/s {rtt_ms} ms: {:.1} %, dropped {:.2} %",
                share * 100.0,
                dropped * 100.0
            );
            assert!(share >= 0.85 && dropped < 0.03, "{mbps} Mb/s {rtt_ms} ms: {share} {dropped}");
        }
    }

    #[test]
    fn what_is_not_used_is_neither_raised_nor_lowered() {
        for rtt_ms in [10, 40, 300] {
            let offer = Offer { load: Some(6.0), ..Offer::ALL };
            let world = World::new(Path::new(20.0, rtt_ms, 200), &[offer], 1.0).run(60.0);
            let (low, high) = (world.lowest_rate(0, 5.0, 60.0), world.highest_rate(0, 0.0, 60.0));
            let burst = (0..100)
                .map(|n| world.throughput(0, f64::from(n) / 20.0, f64::from(n) / 20.0 + 0.1))
                .fold(0.0, f64::max);
            println!("6 of 20 Mb/s at {rtt_ms} ms: rate {low:.1} to {high:.1}, at most {burst:.1} carried");
            assert!(low >= 6.0 && high <= 2.0 * burst && high < 14.0, "{low} {high}");
            assert!(world.throughput(0, 5.0, 60.0) > 5.9);
        }
    }

    #[test]
    fn a_long_idle_link_goes_back_to_the_initial_rate_and_no_lower() {
        let world =
            World::new(Path::new(20.0, 40, 200), &[Offer { until: 10.0, ..Offer::ALL }], 1.0).run(300.0);
        let at = |second: f64| world.mean_rate(0, second - 1.0, second);
        println!("idle: {:.1} {:.1} {:.1} {:.1}", at(11.0), at(29.0), at(60.0), at(300.0));
        assert!(at(29.0) > 18.0 && at(60.0) < 12.0 && at(60.0) > 2.0);
        assert!((at(300.0) - 1.0).abs() < 0.1, "{}", at(300.0));
    }

    #[test]
    fn jitter_is_no_congestion() {
        for jitter_ms in [5, 15] {
            for (mbps, rtt_ms) in
                [(2.0, 40), (6.0, 40), (20.0, 10), (20.0, 40), (20.0, 100), (20.0, 300), (100.0, 40)]
            {
                for seed in 1..=3 {
                    let path = Path { jitter_ms, seed, ..Path::new(mbps, rtt_ms, 200) };
                    let world = backlogged(path, 34.0);
                    let share = world.throughput(0, 4.0, 34.0) / mbps;
                    let p99 = world.queue(0.99, 4.0, 34.0);
                    println!(
                        "jitter ±{jitter_ms} {mbps} Mb/s {rtt_ms} ms: {:.1} % p99 {p99:.0}{}",
                        share * 100.0,
                        if share < 0.9 { " <--" } else { "" }
                    );
                    assert!(share >= 0.9, "±{jitter_ms} ms {mbps} Mb/s {rtt_ms} ms: {share}");
                }
            }
        }
    }

    #[test]
    fn a_handshake_not_told_costs_little() {
        for (mbps, rtt_ms) in [(2.0, 40), (4.0, 300), (20.0, 10), (20.0, 100), (100.0, 40)] {
            let path = Path { handshake: false, ..Path::new(mbps, rtt_ms, 200) };
            let share = backlogged(path, 33.0).throughput(0, 3.0, 33.0) / mbps;
            println!("no handshake {mbps} Mb/s {rtt_ms} ms: {:.1} %", share * 100.0);
            assert!(share > 0.95, "{mbps} Mb/s {rtt_ms} ms: {share}");
        }
    }

    #[test]
    fn what_the_peer_says_it_got_is_heard() {
        for (mbps, rtt_ms) in [(2.0, 40), (20.0, 10), (20.0, 100)] {
            let world = backlogged(Path { tells: true, ..Path::new(mbps, rtt_ms, 200) }, 33.0);
            let (share, p99) = (world.throughput(0, 3.0, 33.0) / mbps, world.queue(0.99, 3.0, 33.0));
            println!("own peer {mbps} Mb/s {rtt_ms} ms: {:.1} %, p99 {p99:.0}", share * 100.0);
            assert!(share > 0.95 && p99 < 100.0, "{mbps} Mb/s {rtt_ms} ms: {share}");
        }
    }

    #[test]
    fn a_longer_way_is_learned() {
        for (mbps, rtt_ms) in [(2.0, 40), (20.0, 10), (20.0, 40), (20.0, 100), (20.0, 300)] {
            let mut path = Path::new(mbps, rtt_ms, 300);
            path.rtt_ms.push((10.0, rtt_ms + 60));
            let world = backlogged(path, 40.0);
            let base = world.flows[0].capacity.base_delay().as_micros() as f64 / 500.0;
            let (during, after) =
                (world.throughput(0, 10.0, 20.0) / mbps, world.throughput(0, 20.0, 40.0) / mbps);
            println!(
                "+60 ms {mbps} Mb/s {rtt_ms} ms: {:.1} % then {:.1} %, base {base}",
                during * 100.0,
                after * 100.0
            );
            assert!(during > 0.6 && after > 0.93, "{mbps} Mb/s {rtt_ms} ms");
            assert!((base - rtt_ms as f64 - 60.0).abs() < 15.0, "{base}");
        }
    }

    #[test]
    fn two_on_one_bottleneck_share_it() {
        for (mbps, rtt_ms) in [(4.0, 40), (20.0, 10), (20.0, 40), (20.0, 100), (20.0, 300), (100.0, 40)] {
            for later in [0.0, 10.0] {
                let offers = [Offer::ALL, Offer { from: later, ..Offer::ALL }];
                let world = World::new(Path::new(mbps, rtt_ms, 200), &offers, 1.0).run(later + 90.0);
                let span = (later + 30.0, later + 90.0);
                let first = world.throughput(0, span.0, span.1) / mbps;
                let second = world.throughput(1, span.0, span.1) / mbps;
                let queue = world.queue(0.9, span.0, span.1);
                println!(
                    "two, {later:.0} s apart, {mbps} Mb/s {rtt_ms} ms: {:.1} % and {:.1} %, queue p90 {queue:.0}",
                    first * 100.0,
                    second * 100.0,
                );
                let share = first / (first + second);
                assert!(
                    (0.3..=0.7).contains(&share) && first + second > 0.9,
                    "{mbps} {rtt_ms} {later}: {share}"
                );
            }
        }
    }

    #[test]
    fn a_link_nobody_answers_on_is_silent_and_comes_back() {
        let path = Path { mute: (10.0, 15.0), ..Path::new(20.0, 40, 200) };
        let world = World::new(path.clone(), &[Offer::ALL], 1.0).run(14.9);
        assert_eq!(world.flows[0].capacity.state(), State::Silent);
        assert!((0.1..2.0).contains(&world.looks.last().unwrap().rates[0]));
        let world = World::new(path, &[Offer::ALL], 1.0).run(20.0);
        let back = world.first(15.0, |rate| rate > 16.0).unwrap();
        println!("back after {back:.2} s");
        assert!(back < 2.0, "{back}");
    }

    #[test]
    fn a_link_that_collapses_is_followed_though_its_queue_drops_the_ackacks() {
        for to in [0.05, 0.1, 0.2] {
            for (rtt_ms, queue_ms) in [(10, 100), (10, 300), (40, 30), (40, 300), (100, 100), (300, 300)] {
                let mut path = Path::new(20.0, rtt_ms, queue_ms);
                path.capacity.push((10.0, 20.0 * to));
                let world = backlogged(path, 40.0);
                // It stops flooding within five seconds; cut too deep at first, it may take five more to be full again.
                let share = world.throughput(0, 20.0, 40.0) / 20.0 / to;
                let (fall, after) = (world.dropped(10.0, 15.0), world.dropped(15.0, 40.0));
                println!(
                    "20 Mb/s to {to}, {rtt_ms} ms, B {queue_ms}: {:.1} %, dropped {:.1} % in 5 s, then {:.2} %",
                    share * 100.0,
                    fall * 100.0,
                    after * 100.0
                );
                assert!(share > 0.94 && after < 0.01, "{to} {rtt_ms} {queue_ms}: {share} {after}");
            }
        }
    }

    #[test]
    fn lost_acks_do_not_mislead() {
        let path = Path { ack_loss: 0.2, loss: 0.02, ..Path::new(20.0, 40, 200) };
        let share = backlogged(path, 33.0).throughput(0, 3.0, 33.0) / 20.0;
        println!("lost ACKs: {:.1} %", share * 100.0);
        assert!(share > 0.9, "{share}");
    }

    #[test]
    fn nonsense_neither_panics_nor_leaves_the_bounds() {
        let mut capacity = Capacity::new(Instant::from_micros(5), 0);
        let spans = [0, 1, 40_000, u64::from(u32::MAX), u64::MAX].map(Micros::from_micros);
        let mut random = 1_u64;
        for n in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = |of: usize| usize::try_from(random >> 33).unwrap() % of;
            let now = match pick(50) {
                0 => Instant::from_micros(u64::MAX),
                1 => Instant::from_micros(0),
                2 => Instant::from_micros(n * 1_000_000_000),
                _ => Instant::from_micros(n * 1_000),
            };
            match pick(7) {
                0 | 1 => capacity.on_sent(now, if n % 9 == 0 { usize::MAX } else { 1_360 }),
                2 => capacity.on_lost(now, if n % 9 == 0 { u32::MAX } else { 1 }),
                3 => capacity.on_limited(now, n % 3 == 0),
                4 => capacity.on_delivered(now, if n % 9 == 0 { u64::MAX } else { 1_360 }),
                5 => capacity.handle_timeout(now),
                _ => capacity.on_report(
                    now,
                    Report {
                        rtt: spans[pick(5)],
                        rtt_variance: spans[pick(4)],
                        received_bps: [None, Some(0), Some(u64::MAX)][pick(3)],
                        capacity_pps: Some(0),
                    },
                ),
            }
            assert!((12_500..=1_000_000_000_000).contains(&capacity.rate()));
            assert!(capacity.safe_rate() <= capacity.rate());
            assert!((0.0..=1.0).contains(&capacity.loss()));
            let _ = (
                capacity.next_timeout(),
                capacity.base_delay(),
                capacity.queueing(),
                capacity.queueing_now(now),
            );
        }
    }
}
