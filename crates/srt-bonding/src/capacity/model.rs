//! A bottleneck in a test: one queue, some senders that pace exactly at their rate, receivers that answer as SRT's do.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use srt_protocol::time::{Instant, Micros};

use super::{Capacity, Report};

/// Nanoseconds: a packet of a fast link takes few microseconds.
type Nanos = u64;
const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MS;
/// A message of live SRT with all headers, and an ACKACK.
const DATA: u64 = 1_360;
const ACKACK: u64 = 44;

/// The way from sender to receiver and back.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Mb/s from a second on.
    pub(super) capacity: Vec<(f64, f64)>,
    /// Round trip without queue in ms, from a second on.
    pub(super) rtt_ms: Vec<(f64, u64)>,
    /// Room of the queue; none polices: what is above the rate, but for 20 ms of it, is dropped.
    pub(super) queue_ms: Option<u64>,
    /// Share lost behind the queue.
    pub(super) loss: f64,
    /// Either way, each sixth of it kept for 5 ms, never reordering.
    pub(super) jitter_ms: u64,
    /// Share of the ACKs lost.
    pub(super) ack_loss: f64,
    /// From here on until there, in seconds, the receiver is not heard.
    pub(super) mute: (f64, f64),
    pub(super) seed: u64,
    /// Whether the handshake's round trip is told.
    pub(super) handshake: bool,
    /// Whether the receiver tells what arrived.
    pub(super) tells: bool,
}

impl Path {
    pub(super) fn new(capacity: f64, rtt_ms: u64, queue_ms: u64) -> Self {
        Self {
            capacity: vec![(0.0, capacity)],
            rtt_ms: vec![(0.0, rtt_ms)],
            queue_ms: Some(queue_ms),
            loss: 0.0,
            jitter_ms: 0,
            ack_loss: 0.0,
            mute: (0.0, 0.0),
            seed: 1,
            handshake: true,
            tells: false,
        }
    }
}

/// What a sender has to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// From this second on.
    pub(super) from: f64,
    /// Mb/s; everything where it is not given.
    pub(super) load: Option<f64>,
    /// Until this second.
    pub(super) until: f64,
}

impl Offer {
    pub(super) const ALL: Self = Self { from: 0.0, load: None, until: f64::MAX };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Send(usize),
    Data { flow: usize, number: u64, sent: Nanos },
    Tick(usize),
    Ack { flow: usize, number: usize, rtt: u64, variance: u64, received: u64, delivered: u64 },
    AckAck { flow: usize, number: usize },
    Nak { flow: usize, packets: u32 },
    Look,
}

/// One sender and its receiver.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) capacity: Capacity,
    offer: Offer,
    ready: Nanos,
    backlog: f64,
    loaded: Nanos,
    next: u64,
    // The receiver.
    expected: u64,
    fresh: bool,
    delivered: u64,
    told: Option<(u64, u64)>,
    acks: Vec<Nanos>,
    arrived: Nanos,
    window: VecDeque<(Nanos, u64)>,
    last_data: Nanos,
}

/// What was seen, every 10 ms.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) at: f64,
    pub(super) queue_ms: f64,
    pub(super) rates: Vec<f64>,
    /// Bytes arrived since the last look, of each flow.
    pub(super) arrived: Vec<u64>,
    /// Bytes sent and dropped by the queue or policer since the last look.
    pub(super) sent: u64,
    pub(super) dropped: u64,
}

#[derive(Debug)]
pub(super) struct World {
    path: Path,
    pub(super) flows: Vec<Flow>,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    made: u64,
    now: Nanos,
    random: u64,
    busy_until: Nanos,
    busy_at: f64,
    tokens: f64,
    filled: Nanos,
    wobble: [(Nanos, u64); 2],
    look: Look,
    pub(super) looks: Vec<Look>,
}

impl World {
    pub(super) fn new(path: Path, offers: &[Offer], initial_mbps: f64) -> Self {
        let flows = offers.iter().map(|&offer| Flow::new(offer, initial_mbps)).collect::<Vec<_>>();
        let mut world = Self {
            random: path.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            path,
            events: BinaryHeap::new(),
            made: 0,
            now: 0,
            busy_until: 0,
            busy_at: 1.0,
            tokens: 0.0,
            filled: 0,
            wobble: [(0, 0); 2],
            look: Look { arrived: vec![0; flows.len()], ..Look::default() },
            looks: Vec::new(),
            flows,
        };
        for flow in 0..world.flows.len() {
            let from = nanos(world.flows[flow].offer.from);
            if world.path.handshake {
                let rtt = Micros::from_millis(at_time(&world.path.rtt_ms, from) + 2 * world.path.jitter_ms);
                world.flows[flow].capacity.on_round_trip(Instant::from_micros(from / 1_000), rtt);
            }
            world.at(from, Event::Send(flow));
            world.at(from + 3 * MS * flow as u64, Event::Tick(flow));
        }
        world.at(10 * MS, Event::Look);
        world
    }

    /// Runs until that second.
    pub(super) fn run(mut self, until: f64) -> Self {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > nanos(until) {
                self.at(at, event);
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send(flow) => self.send(flow),
            Event::Data { flow, number, sent: _ } => self.receive(flow, number),
            Event::Tick(flow) => self.tick(flow),
            Event::Ack { flow, number, rtt, variance, received, delivered } => {
                let (now, silent) = (self.instant(), self.muted());
                if !silent {
                    let report = Report {
                        rtt: Micros::from_micros(rtt),
                        rtt_variance: Micros::from_micros(variance),
                        received_bps: Some(received),
                        capacity_pps: Some(1_000),
                    };
                    if self.path.tells {
                        self.flows[flow].capacity.on_delivered(now, delivered);
                    }
                    self.flows[flow].capacity.on_report(now, report);
                    self.carry(flow, ACKACK, |_| Event::AckAck { flow, number });
                    self.wake(flow);
                }
            }
            Event::AckAck { flow, number } => {
                let us = (self.now - self.flows[flow].acks[number]) / 1_000;
                let told = &mut self.flows[flow].told;
                *told = Some(match *told {
                    None => (us, us / 2),
                    Some((rtt, variance)) => ((rtt * 7 + us) / 8, (variance * 3 + rtt.abs_diff(us)) / 4),
                });
            }
            Event::Nak { flow, packets } => {
                if !self.muted() {
                    let now = self.instant();
                    self.flows[flow].capacity.on_lost(now, packets);
                }
            }
            Event::Look => {
                for flow in 0..self.flows.len() {
                    let now = self.instant();
                    while self.flows[flow].capacity.next_timeout().is_some_and(|at| at <= now) {
                        self.flows[flow].capacity.handle_timeout(now);
                    }
                    self.wake(flow);
                }
                self.look.at = secs(self.now);
                self.look.queue_ms = self.busy_until.saturating_sub(self.now) as f64 / MS as f64;
                self.look.rates = self.flows.iter().map(|flow| mbps(flow.capacity.rate())).collect();
                let fresh = Look { arrived: vec![0; self.flows.len()], ..Look::default() };
                self.looks.push(std::mem::replace(&mut self.look, fresh));
                self.at(self.now + 10 * MS, Event::Look);
            }
        }
    }

    fn send(&mut self, flow: usize) {
        let (now, instant) = (self.now, self.instant());
        let it = &mut self.flows[flow];
        if now < it.ready || secs(now) >= it.offer.until {
            return; // a wake-up that is no longer due
        }
        if let Some(load) = it.offer.load {
            let elapsed = now - it.loaded;
            it.loaded = now;
            it.backlog = (it.backlog + load * 1e6 / 8.0 * secs(elapsed)).min(load * 1e6 / 8.0 * 0.05);
            // What is not sent in 50 ms goes another way.
            it.capacity.on_limited(instant, it.backlog > 3.0 * DATA as f64);
            if it.backlog < DATA as f64 {
                let missing = (DATA as f64 - it.backlog + 1.0) * 8.0 / load / 1e6;
                it.ready = now + nanos(missing).max(1);
                let ready = it.ready;
                self.at(ready, Event::Send(flow));
                return;
            }
            it.backlog -= DATA as f64;
        } else {
            it.capacity.on_limited(instant, true);
        }
        it.capacity.on_sent(instant, usize::try_from(DATA).unwrap());
        it.last_data = now;
        it.ready = now + (DATA * SECOND / it.capacity.rate().max(1)).max(10_000);
        let (number, ready) = (it.next, it.ready);
        it.next += 1;
        self.look.sent += DATA;
        self.carry(flow, DATA, |sent| Event::Data { flow, number, sent });
        self.at(ready, Event::Send(flow));
    }

    /// The rate may have grown: the next packet may be due sooner.
    fn wake(&mut self, flow: usize) {
        let it = &mut self.flows[flow];
        let due = (it.last_data + (DATA * SECOND / it.capacity.rate().max(1)).max(10_000)).max(self.now);
        if it.offer.load.is_none() && it.next > 0 && due < it.ready {
            it.ready = due;
            self.at(due, Event::Send(flow));
        }
    }

    /// Puts a packet into the bottleneck.
    fn carry(&mut self, flow: usize, bytes: u64, event: impl Fn(Nanos) -> Event) {
        let rate = at_time(&self.path.capacity, self.now) * 1e6 / 8.0;
        let half = at_time(&self.path.rtt_ms, self.now) * MS / 2;
        let out = if let Some(room) = self.path.queue_ms {
            // What is queued takes another time when the rate changes.
            let queued = self.busy_until.saturating_sub(self.now) as f64 * self.busy_at / rate;
            self.busy_at = rate;
            self.busy_until = self.now + nanos(queued / 1e9);
            if queued > (room * MS) as f64 {
                self.look.dropped += bytes;
                return;
            }
            self.busy_until += nanos(bytes as f64 / rate);
            self.busy_until
        } else {
            let earned = rate * secs(self.now - self.filled);
            self.tokens = (self.tokens + earned).min(rate * 0.02);
            self.filled = self.now;
            if self.tokens < bytes as f64 {
                self.look.dropped += bytes;
                return;
            }
            self.tokens -= bytes as f64;
            self.now
        };
        if self.random() < self.path.loss {
            return;
        }
        let arrival = (out + half + self.wobble(0)).max(self.flows[flow].arrived);
        self.flows[flow].arrived = arrival;
        self.at(arrival, event(self.now));
    }

    fn receive(&mut self, flow: usize, number: u64) {
        let half = at_time(&self.path.rtt_ms, self.now) * MS / 2;
        let now = self.now;
        self.look.arrived[flow] += DATA;
        let it = &mut self.flows[flow];
        it.window.push_back((now, DATA));
        if it.window.len() > 17 {
            it.window.pop_front();
        }
        it.fresh = true;
        it.delivered += DATA;
        let missed = number.saturating_sub(it.expected);
        it.expected = it.expected.max(number + 1);
        if missed > 0 {
            let packets = u32::try_from(missed).unwrap();
            self.at(now + half, Event::Nak { flow, packets });
        }
    }

    fn tick(&mut self, flow: usize) {
        let half = at_time(&self.path.rtt_ms, self.now) * MS / 2;
        let now = self.now;
        self.at(now + 10 * MS, Event::Tick(flow));
        if !std::mem::take(&mut self.flows[flow].fresh) {
            return;
        }
        let arrival = now + half + self.wobble(1);
        let lost = self.random() < self.path.ack_loss;
        let it = &mut self.flows[flow];
        it.acks.push(now);
        let number = it.acks.len() - 1;
        let (rtt, variance) = it.told.unwrap_or((100_000, 50_000));
        let received = it.received();
        let delivered = std::mem::take(&mut it.delivered);
        if !lost {
            self.at(arrival, Event::Ack { flow, number, rtt, variance, received, delivered });
        }
    }

    /// Jitter of one direction: another value every 5 ms.
    fn wobble(&mut self, way: usize) -> Nanos {
        if self.path.jitter_ms > 0 && self.now >= self.wobble[way].0 {
            let delay = self.random() * 2.0 * self.path.jitter_ms as f64 / 1e3;
            self.wobble[way] = (self.now + 5 * MS, nanos(delay));
        }
        self.wobble[way].1
    }

    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn muted(&self) -> bool {
        (self.path.mute.0..self.path.mute.1).contains(&secs(self.now))
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(self.now / 1_000)
    }

    fn at(&mut self, at: Nanos, event: Event) {
        self.made += 1;
        self.events.push(Reverse((at, self.made, event)));
    }
}

/// What was measured.
impl World {
    fn span(&self, from: f64, to: f64) -> impl Iterator<Item = &Look> {
        self.looks.iter().filter(move |look| look.at > from && look.at <= to)
    }

    /// Mb/s that arrived of a flow.
    pub(super) fn throughput(&self, flow: usize, from: f64, to: f64) -> f64 {
        self.span(from, to).map(|look| look.arrived[flow]).sum::<u64>() as f64 * 8.0 / 1e6 / (to - from)
    }

    /// Mean of what the rate was.
    pub(super) fn mean_rate(&self, flow: usize, from: f64, to: f64) -> f64 {
        self.span(from, to).map(|look| look.rates[flow]).sum::<f64>() / self.span(from, to).count() as f64
    }

    pub(super) fn highest_rate(&self, flow: usize, from: f64, to: f64) -> f64 {
        self.span(from, to).map(|look| look.rates[flow]).fold(0.0, f64::max)
    }

    pub(super) fn lowest_rate(&self, flow: usize, from: f64, to: f64) -> f64 {
        self.span(from, to).map(|look| look.rates[flow]).fold(f64::MAX, f64::min)
    }

    /// Queueing in ms that a share of the time stays below.
    pub(super) fn queue(&self, share: f64, from: f64, to: f64) -> f64 {
        let mut queues = self.span(from, to).map(|look| look.queue_ms).collect::<Vec<_>>();
        queues.sort_by(f64::total_cmp);
        let rank = (0..queues.len()).find(|&rank| rank as f64 >= share * (queues.len() - 1) as f64).unwrap();
        queues[rank]
    }

    /// Share of the bytes the queue or policer dropped.
    pub(super) fn dropped(&self, from: f64, to: f64) -> f64 {
        let (dropped, sent) =
            self.span(from, to).fold((0, 0), |sum, look| (sum.0 + look.dropped, sum.1 + look.sent));
        dropped as f64 / sent.max(1) as f64
    }

    /// The first second after `from` at which the rate is as asked for.
    pub(super) fn first(&self, from: f64, rate: impl Fn(f64) -> bool) -> Option<f64> {
        self.looks.iter().find(|look| look.at > from && rate(look.rates[0])).map(|look| look.at - from)
    }
}

impl Flow {
    fn new(offer: Offer, initial_mbps: f64) -> Self {
        let initial = nanos(initial_mbps * 125_000.0 / 1e9);
        Self {
            capacity: Capacity::new(Instant::from_micros(nanos(offer.from) / 1_000), initial),
            offer,
            ready: 0,
            backlog: 0.0,
            loaded: nanos(offer.from),
            next: 0,
            expected: 0,
            fresh: false,
            delivered: 0,
            told: None,
            acks: Vec::new(),
            arrived: 0,
            window: VecDeque::new(),
            last_data: 0,
        }
    }

    /// As libsrt: the mean of the last 16 intervals without those more than eight times off the median.
    fn received(&self) -> u64 {
        let arrivals = self.window.iter().copied().collect::<Vec<_>>();
        let intervals =
            arrivals.windows(2).map(|two| ((two[1].0 - two[0].0) / 1_000, two[1].1)).collect::<Vec<_>>();
        let mut sorted = intervals.clone();
        sorted.sort_unstable();
        let Some(&(median, _)) = sorted.get(8) else { return 0 };
        let near = intervals.iter().filter(|(us, _)| *us < median * 8 && *us > median / 8);
        let (count, us, bytes) =
            near.fold((0, 0, 0), |sum, near| (sum.0 + 1, sum.1 + near.0, sum.2 + near.1));
        if count > 8 && us > 0 { bytes * 1_000_000 / us } else { 0 }
    }
}

fn at_time<T: Copy>(steps: &[(f64, T)], now: Nanos) -> T {
    steps.iter().rev().find(|step| step.0 <= secs(now)).unwrap_or(&steps[0]).1
}

fn secs(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

fn mbps(bytes_per_second: u64) -> f64 {
    bytes_per_second as f64 * 8.0 / 1e6
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and below zero is zero"
)]
fn nanos(secs: f64) -> Nanos {
    (secs * 1e9) as u64
}
