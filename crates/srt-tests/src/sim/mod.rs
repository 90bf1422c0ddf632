//! A seeded world on virtual time: callers, a listener, the network between them, and the applications on top.
//!
//! ```
//! use srt_tests::check;
//! use srt_tests::sim::{Link, Sim, caller, latency_ms, listener, mbps, ms, secs, seeds};
//!
//! for seed in seeds("a stream survives losses", 2) {
//!     let link = Link::rtt_ms(40).loss(0.05).jitter_ms(8);
//!     let run = Sim::new(seed, caller(latency_ms(200)), link, listener(latency_ms(200)))
//!         .offer_live(mbps(2), secs(5))
//!         .run();
//!     run.assert(check::all).assert(|run| check::latency_constant(run, ms(1)));
//! }
//! ```
//!
//! Everything comes from the seed: entropy of the endpoints, luck of the links, content of the messages. Events happen in
//! order of time and, within a microsecond, in the order they were planned, so that a run repeats to the last bit. A failing
//! test prints the command that replays it: `SRT_SEED=0x… cargo test …`; with `SRT_SHOW=1` every datagram and its fate is printed.

mod app;
mod clock;
mod link;
mod net;
mod node;
mod queue;
mod random;
mod seeds;
mod trace;
mod wire;

pub use app::{Reader, Source, TS_MESSAGE, kbps, mbps, ms, secs};
pub use clock::Clock;
pub use link::{Link, Way};
pub use net::{Meddle, Passing, control};
pub use node::{Admission, Leave, Party};
pub use random::Random;
pub use seeds::{Replayable, replay, seeds};
pub use trace::{DroppedRange, Flow, Path, Peaks, ReceivedMessage, Record, Run, SentMessage};
pub use wire::{Kind, Wire};

use net::{Event, LISTENER, Meddler, Net, address};
use node::{Node, Socket};
use random::mix;
use srt_protocol::config::{Config, SocketOption};
use srt_protocol::packet::UDP_IP_OVERHEAD;
use srt_protocol::time::Micros;
use srt_protocol::types::SeqNumber;
use std::fmt;
use std::net::SocketAddr;

/// The side that calls.
pub const fn caller(config: Config) -> Party {
    Party::new(config)
}

/// The side that is called.
pub const fn listener(config: Config) -> Party {
    Party::new(config)
}

/// Live options with this latency in both directions.
///
/// # Panics
/// When the latency is out of range.
pub fn latency_ms(latency: i32) -> Config {
    let mut config = Config::live();
    config.set(SocketOption::Latency, latency).expect("a latency in range");
    config
}

/// The same options with one set to another value, as text.
///
/// # Panics
/// When the option or the value is not allowed.
pub fn with(mut config: Config, option: &str, value: &str) -> Config {
    config.set_text(option, value).expect("an allowed option");
    config
}

/// The listener's address in every world.
pub fn listener_address() -> SocketAddr {
    address(LISTENER)
}

/// The address of this caller in every world.
pub fn caller_address(caller: usize) -> SocketAddr {
    address(caller + 1)
}

/// A world to be run.
pub struct Sim {
    seed: u64,
    caller: Party,
    callers: usize,
    listener: Party,
    link: Link,
    isn: Option<SeqNumber>,
    limit: Option<Micros>,
    spares_handshakes: bool,
    meddler: Option<Meddler>,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).field("link", &self.link).finish_non_exhaustive()
    }
}

impl Sim {
    /// A world with one caller.
    pub const fn new(seed: u64, caller: Party, link: Link, listener: Party) -> Self {
        Self {
            seed,
            caller,
            callers: 1,
            listener,
            link,
            isn: None,
            limit: None,
            spares_handshakes: false,
            meddler: None,
        }
    }

    /// The caller sends a live stream of `bps` for so long, then closes in order.
    #[must_use]
    pub fn offer_live(mut self, bps: u64, span: Micros) -> Self {
        self.caller = self.caller.offers(Source::live(bps, span));
        self
    }

    /// So many callers, all alike, each with a path of its own.
    #[must_use]
    pub const fn callers(mut self, callers: usize) -> Self {
        self.callers = callers;
        self
    }

    /// The first sequence number. Default: from the seed.
    #[must_use]
    pub const fn isn(mut self, isn: SeqNumber) -> Self {
        self.isn = Some(isn);
        self
    }

    /// The world ends after so long at the latest. Default: a minute after the last message is offered.
    #[must_use]
    pub const fn limit(mut self, limit: Micros) -> Self {
        self.limit = Some(limit);
        self
    }

    /// No handshake is lost, doubled or late: for worlds that are about what comes after. What an accepted end sends while its
    /// answer is lost again and again cannot be repaired, whatever the core does.
    #[must_use]
    pub const fn sparing_handshakes(mut self) -> Self {
        self.spares_handshakes = true;
        self
    }

    /// Somebody on the path sees every datagram before the link does, and may drop it or inject others.
    #[must_use]
    pub fn meddle(mut self, meddler: impl FnMut(&Passing<'_>, &mut Meddle<'_>) + 'static) -> Self {
        self.meddler = Some(Box::new(meddler));
        self
    }

    /// Runs the world to its end.
    pub fn run(self) -> Run {
        let told = Told(self.seed);
        let run = World::new(self).run();
        std::mem::forget(told);
        run
    }
}

/// Tells the seed when the world itself breaks down.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        seeds::tell_replay(self.0);
    }
}

struct World {
    seed: u64,
    nodes: Vec<Node>,
    net: Net,
    limit_us: u64,
    isn: Option<SeqNumber>,
    steps: u64,
}

impl World {
    fn new(sim: Sim) -> Self {
        let Sim { seed, mut caller, callers, mut listener, link, isn, limit, spares_handshakes, meddler } =
            sim;
        let ends = |party: &Party| party.source.as_ref().map_or(Micros::ZERO, Source::ends);
        let last = ends(&caller).max(ends(&listener));
        let limit = limit.unwrap_or(last + Micros::from_secs(60));
        // The caller closes as soon as all is sent; where the listener sends too, not before that has been played.
        let patience = match listener.source {
            Some(_) => {
                last - ends(&caller)
                    + listener.config.peer_latency().max(caller.config.receiver_latency())
                    + ms(1_500)
            }
            None => Micros::ZERO,
        };
        caller.leave.get_or_insert(Leave::CloseAfter(patience));
        listener.leave.get_or_insert(Leave::Stay);
        let mss = caller.config.mss().max(listener.config.mss()) as usize;
        let mut net = Net::new(seed, callers, &link, mss - UDP_IP_OVERHEAD, meddler);
        net.spared = spares_handshakes.then_some([link.there.delay_us, link.back.delay_us]);
        let parties = std::iter::once(listener).chain(std::iter::repeat_n(caller, callers));
        let nodes = parties.enumerate().map(|(index, party)| Node::new(seed, index, party)).collect();
        Self { seed, nodes, net, limit_us: limit.as_micros(), isn, steps: 0 }
    }

    fn run(mut self) -> Run {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if index == LISTENER {
                node.listen();
            } else {
                node.call(0, address(LISTENER), self.isn);
            }
        }
        for node in 0..self.nodes.len() {
            self.run_node(0, node);
        }
        let mut now = 0;
        while let Some((at_us, event)) = self.net.queue.next() {
            if at_us > self.limit_us {
                now = self.limit_us;
                break;
            }
            now = at_us;
            self.steps += 1;
            let node = match event {
                Event::Arrive { node, from, datagram } => {
                    self.net.in_flight -= 1;
                    self.nodes[node].arrive(now, from, &datagram);
                    node
                }
                Event::Wake { node, round } if self.nodes[node].wake_round == round => {
                    self.nodes[node].wake = None;
                    node
                }
                Event::Wake { .. } => continue,
            };
            self.run_node(now, node);
            if self.is_over() {
                break;
            }
        }
        self.finish(now)
    }

    fn run_node(&mut self, now: u64, index: usize) {
        let node = &mut self.nodes[index];
        node.run(now, &mut self.net);
        let Some(at_us) = node.next_wake() else { return };
        if node.wake.is_some_and(|planned| planned <= at_us) {
            return; // that one will look again
        }
        node.wake_round += 1;
        let at_us = at_us.max(now + 1); // a node without rest has been reported; the world goes on
        node.wake = Some(at_us);
        self.net.queue.plan(at_us, Event::Wake { node: index, round: node.wake_round });
    }

    fn is_over(&self) -> bool {
        self.net.in_flight == 0 && self.nodes.iter().all(|node| node.sockets.iter().all(Socket::is_over))
    }

    fn finish(mut self, now: u64) -> Run {
        let finished = self.is_over();
        let mut digest = self.net.finish();
        let mut faults = Vec::new();
        let (mut incoming, mut incoming_peak) = (0, 0);
        let (mut accepted, mut callers) = (Vec::new(), Vec::new());
        let listener_stats = *self.nodes[LISTENER].endpoint.stats();
        for node in self.nodes {
            faults.extend(node.faults);
            incoming += node.incoming;
            incoming_peak = incoming_peak.max(node.incoming_peak);
            let local = node.clock.local(now);
            let records = if node.index == LISTENER { &mut accepted } else { &mut callers };
            records.extend(node.sockets.into_iter().map(|socket| socket.finish(local)));
        }
        for message in callers.iter().chain(&accepted).flat_map(|record: &Record| &record.received) {
            digest = mix(mix(digest, message.digest), message.at_us);
        }
        let addresses = (0..callers.len()).map(caller_address).collect();
        Run {
            seed: self.seed,
            callers,
            accepted,
            paths: self.net.paths,
            addresses,
            incoming,
            incoming_peak,
            astray: self.net.astray,
            listener_stats,
            finished,
            ended_us: now,
            steps: self.steps,
            faults,
            digest,
        }
    }
}
