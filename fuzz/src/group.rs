//! A group that calls, the mirror that a listener makes of it, and links that bring anything in any order, or nothing.
//!
//! The two ends are both ours and say what they say; the [`Step`]s decide what becomes of it on the way, and what a stranger adds who
//! guesses socket IDs. Time is a number here, so an hour passes in no time.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use arbitrary::Arbitrary;

use crate::{Counting, keys::PASSPHRASE, wire};
use srt_bonding::{Event, Group, GroupSetup, LINKS_MAX, LinkId, LinkSetup, Mode};
use srt_protocol::{
    config::{Config, OptionValue, SocketOption},
    connection::{State, TransmitBatch},
    endpoint::{Endpoint, Incoming, Route},
    handshake::RejectReason,
    packet::{
        Ack, AckDetail, Boundary, Control, DataHeader, DataPacket, DropRequest, GroupInfo, HEADER_SIZE,
        KeyFlag, LossReport, Packet, STREAM_REPORT, StreamReport, UDP_IP_OVERHEAD, destination,
    },
    stream::Message,
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

/// The life of two groups.
#[derive(Arbitrary, Debug)]
pub struct Scenario {
    setup: Setup,
    steps: Vec<Step>,
}

/// What the two ends are.
#[derive(Arbitrary, Debug)]
struct Setup {
    start_ms: u32,
    isn: u32,
    mode: u8,
    third_link: bool,
    weights: [u8; 3],
    /// The listener says that it does not merge links, as a libsrt would.
    plain_listener: bool,
    /// And the caller.
    plain_caller: bool,
    encrypted: u8,
    latency_ms: u16,
    no_tlpktdrop: bool,
    no_nak_report: bool,
    peer_idle_ms: u16,
    min_stable_ms: u16,
    linger_s: u8,
    send_packets: u8,
    receive_packets: u8,
    max_bw: Option<u32>,
}

/// Something that happens.
#[derive(Arbitrary, Debug)]
enum Step {
    /// So many datagrams of one direction arrive.
    Deliver(Lane, u8),
    /// Everything arrives that is under way.
    DeliverAll,
    /// Everything arrives, and time passes to the next deadline, so often.
    Live(u8),
    Lose(Lane, u8),
    LoseAll,
    Swap(Lane, u8, u8),
    Duplicate(Lane, u8),
    Corrupt(Lane, u8, u16),
    Truncate(Lane, u8, u8),
    /// A datagram comes to the socket of another link.
    Misroute(Lane, u8, Lane),
    /// The group in the first handshake under way becomes another.
    ForgeGroup {
        lane: Lane,
        id: Option<u32>,
        group_type: u8,
        flags: u8,
        weight: u16,
    },
    /// Time passes: tenths of a millisecond, seconds, or up to a deadline.
    Wait(u16),
    WaitLong(u8),
    WaitForTimer,
    Send {
        back: bool,
        count: u8,
        len: u16,
        ttl_ms: Option<u16>,
    },
    Recv {
        back: bool,
    },
    AddLink {
        weight: u8,
        other_latency: Option<u16>,
    },
    RemoveLink {
        back: bool,
        index: u8,
    },
    /// The next links that are wanted cannot be opened.
    FailCalls(u8),
    /// The listener refuses the next callers.
    RefuseCalls(u8),
    /// A stranger says this.
    Raw {
        lane: Lane,
        socket: Option<u32>,
        datagram: Vec<u8>,
    },
    Say(Lane, Said),
    SetMaxBw {
        back: bool,
        value: i64,
    },
    Close {
        back: bool,
    },
    Abort {
        back: bool,
    },
}

/// A packet that a stranger forges, with numbers near those in use.
#[derive(Arbitrary, Debug)]
enum Said {
    Data { seq: Near, off_ms: i16, len: u16, flags: u8, msgno: u32 },
    Ack { next: Near, number: u32, light: bool, figures: [u32; 6] },
    Nak(Vec<(Near, u8)>),
    AckAck(u32, i16),
    DropRequest { msgno: u32, first: Near, span: u16 },
    Report { next: Near, span: u16, runs: Vec<(u8, u8)> },
    Keepalive,
    Shutdown,
    PeerError(u32),
    Any { kind: u8, info: u32, content: Vec<u8> },
}

/// A direction of a link.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Lane(u8);

/// A sequence number, mostly one that matters.
#[derive(Arbitrary, Debug)]
enum Near {
    /// Next to what the sender sends next.
    Next(i8),
    /// So far from the first number.
    First(i16),
    Any(u32),
}

const STEPS_MAX: usize = 300;
/// Batches at one moment, after which a group counts as one that never stops.
const BATCHES_MAX: usize = 20_000;
/// Events at one moment.
const EVENTS_MAX: usize = 2_000;
/// Rounds of timeout and transmission at one moment, after which it counts as one that never sleeps.
const ROUNDS_MAX: usize = 8;
/// Datagrams of one direction of a link that are under way; what goes beyond is lost.
const QUEUE_MAX: usize = 256;
/// Links that a scenario makes.
const LINKS: usize = 6;

impl Scenario {
    /// Plays it; false where the two never met.
    ///
    /// # Panics
    /// Where a group breaks one of its promises.
    pub fn play(&self) -> bool {
        let mut world = World::new(&self.setup);
        world.settle();
        for step in self.steps.iter().take(STEPS_MAX) {
            world.step(step);
            world.settle();
            world.check();
        }
        world.end()
    }
}

/// One link: what is under way on it, with the address of the caller.
#[derive(Default)]
struct Wire {
    port: u16,
    ways: [VecDeque<(u16, Vec<u8>)>; 2],
    link: Option<LinkId>,
    /// The last socket IDs on it: the caller's and the listener's.
    sockets: [u32; 2],
}

struct World {
    now: Instant,
    isn: SeqNumber,
    config: Config,
    plain: [bool; 2],
    groups: [Option<Group>; 2],
    endpoint: Endpoint,
    wires: Vec<Wire>,
    called: BTreeMap<u32, usize>,
    accepted: BTreeMap<u32, usize>,
    next_id: u32,
    failing: u8,
    refusing: u8,
    /// Mirrors made so far.
    generation: u8,
    sent: [u32; 2],
    /// The last message handed out by each end: of which mirror, and its number.
    played: [Option<(u8, u32)>; 2],
    /// Nobody added or changed anything so far, so that messages prove something.
    clean: bool,
    batch: TransmitBatch,
    memory_max: usize,
    datagram_max: usize,
    met: bool,
}

impl World {
    fn new(setup: &Setup) -> Self {
        let config = setup.config();
        let now = Instant::from_micros(u64::from(setup.start_ms) * 1_000);
        let isn = SeqNumber::new(setup.isn);
        let mode = [Mode::Broadcast, Mode::Backup, Mode::Balancing][usize::from(setup.mode % 3)];
        let entropy = Arc::new(Counting::default());
        let group =
            GroupSetup { config: config.clone(), mode, id: 0x1234, isn, entropy: Arc::clone(&entropy) as _ };
        let mut endpoint = Endpoint::new([7; 16], entropy);
        endpoint.listen(config.clone(), 8);
        let mut world = Self {
            now,
            isn,
            plain: [setup.plain_caller, setup.plain_listener],
            groups: [Some(Group::connect(now, group)), None],
            endpoint,
            wires: Vec::new(),
            called: BTreeMap::new(),
            accepted: BTreeMap::new(),
            next_id: 100,
            failing: 0,
            refusing: 0,
            generation: 0,
            sent: [0; 2],
            played: [None; 2],
            clean: true,
            batch: TransmitBatch::default(),
            memory_max: memory_max(config.send_buffer_packets())
                + memory_max(config.receive_buffer_packets()),
            datagram_max: 1500 - UDP_IP_OVERHEAD,
            met: false,
            config,
        };
        for weight in setup.weights.iter().take(if setup.third_link { 3 } else { 2 }) {
            world.add_link(u16::from(*weight), None);
        }
        world
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Deliver(lane, count) => {
                for _ in 0..=count {
                    self.deliver(lane);
                }
            }
            Step::DeliverAll => self.deliver_all(),
            Step::Live(times) => {
                for _ in 0..times {
                    self.deliver_all();
                    self.wait_for_timer();
                    self.settle();
                    self.receive(0);
                    self.receive(1);
                }
            }
            Step::Lose(lane, count) => {
                let queue = self.queue(lane);
                queue.drain(..usize::from(count).min(queue.len()));
            }
            Step::LoseAll => {
                self.wires.iter_mut().flat_map(|wire| &mut wire.ways).for_each(VecDeque::clear);
            }
            Step::Swap(lane, one, other) => {
                let queue = self.queue(lane);
                let (one, other) = (usize::from(one), usize::from(other));
                if one < queue.len() && other < queue.len() {
                    queue.swap(one, other);
                }
            }
            Step::Duplicate(lane, index) => {
                let queue = self.queue(lane);
                if let Some(copy) = queue.get(usize::from(index)).cloned().filter(|_| queue.len() < QUEUE_MAX)
                {
                    queue.push_back(copy);
                }
            }
            Step::Corrupt(lane, index, bit) => {
                self.clean = false;
                if let Some((_, bytes)) = self.queue(lane).get_mut(usize::from(index)) {
                    let bit = usize::from(bit) % (bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
            Step::Truncate(lane, index, len) => {
                self.clean = false;
                if let Some((_, bytes)) = self.queue(lane).get_mut(usize::from(index)) {
                    bytes.truncate(usize::from(len).max(1));
                }
            }
            Step::Misroute(lane, index, other) => {
                self.clean = false;
                let (from, way) = self.place(lane);
                let (to, _) = self.place(other);
                let socket = self.wires[to].sockets[1 - way];
                if let Some((port, mut bytes)) = self.wires[from].ways[way].get(usize::from(index)).cloned()
                    && bytes.len() >= HEADER_SIZE
                {
                    bytes[12..16].copy_from_slice(&socket.to_be_bytes());
                    self.arrive(from, way, port, &bytes);
                }
            }
            Step::ForgeGroup { lane, id, group_type, flags, weight } => {
                self.clean = false;
                let info = GroupInfo { id: id.unwrap_or(0x4000_1234), group_type, flags, weight };
                self.forge_group(lane, id.is_some(), info);
            }
            Step::Wait(tenths) => self.now += Micros::from_micros(u64::from(tenths) * 100),
            Step::WaitLong(seconds) => self.now += Micros::from_secs(u64::from(seconds)),
            Step::WaitForTimer => self.wait_for_timer(),
            Step::Send { back, count, len, ttl_ms } => {
                for _ in 0..=count % 64 {
                    self.send(usize::from(back), len, ttl_ms);
                }
            }
            Step::Recv { back } => self.receive(usize::from(back)),
            Step::AddLink { weight, other_latency } => self.add_link(u16::from(weight), other_latency),
            Step::RemoveLink { back, index } => {
                if let Some(group) = &mut self.groups[usize::from(back)]
                    && let Some(report) = group.links().get(usize::from(index))
                {
                    group.remove_link(self.now, report.id);
                }
            }
            Step::FailCalls(count) => self.failing = count % 16,
            Step::RefuseCalls(count) => self.refusing = count % 16,
            Step::Raw { lane, socket, ref datagram } => {
                self.clean = false;
                let (index, way) = self.place(lane);
                let mut bytes = datagram.clone();
                if bytes.len() >= HEADER_SIZE {
                    let socket = socket.unwrap_or(self.wires[index].sockets[1 - way]);
                    bytes[12..16].copy_from_slice(&socket.to_be_bytes());
                }
                self.arrive(index, way, self.wires[index].port, &bytes);
            }
            Step::Say(lane, ref said) => {
                self.clean = false;
                let (index, way) = self.place(lane);
                let bytes = self.forge(index, way, said);
                self.arrive(index, way, self.wires[index].port, &bytes);
            }
            Step::SetMaxBw { back, value } => {
                if let Some(group) = &mut self.groups[usize::from(back)] {
                    let value = OptionValue::from(value);
                    let _ = group.set_option(self.now, SocketOption::MaxBw, value); // or out of range
                }
            }
            Step::Close { back } => {
                if let Some(group) = &mut self.groups[usize::from(back)] {
                    group.close(self.now);
                }
            }
            Step::Abort { back } => {
                if let Some(group) = &mut self.groups[usize::from(back)] {
                    group.abort(self.now);
                }
            }
        }
    }

    // ---- the way -----------------------------------------------------------------------------------------------

    /// The wire, and 0 on the way to the listener or 1 on the way to the caller.
    fn place(&self, lane: Lane) -> (usize, usize) {
        (usize::from(lane.0 / 2) % self.wires.len(), usize::from(lane.0 % 2))
    }

    fn queue(&mut self, lane: Lane) -> &mut VecDeque<(u16, Vec<u8>)> {
        let (index, way) = self.place(lane);
        &mut self.wires[index].ways[way]
    }

    fn post(&mut self, wire: usize, way: usize, port: u16, bytes: Vec<u8>) {
        let queue = &mut self.wires[wire].ways[way];
        if queue.len() < QUEUE_MAX {
            queue.push_back((port, bytes));
        }
    }

    fn deliver(&mut self, lane: Lane) {
        let (index, way) = self.place(lane);
        if let Some((port, bytes)) = self.wires[index].ways[way].pop_front() {
            self.arrive(index, way, port, &bytes);
        }
    }

    fn deliver_all(&mut self) {
        for index in 0..self.wires.len() {
            for way in 0..2 {
                for (port, bytes) in std::mem::take(&mut self.wires[index].ways[way]) {
                    self.arrive(index, way, port, &bytes);
                }
            }
        }
    }

    fn arrive(&mut self, wire: usize, way: usize, port: u16, bytes: &[u8]) {
        let socket = destination(bytes);
        if way == 0 {
            let known = socket.filter(|id| self.accepted.contains_key(&id.value()));
            match (known, &mut self.groups[1]) {
                (Some(id), Some(mirror)) => mirror.handle_datagram(self.now, id, bytes),
                _ => {
                    let _: Route = self.endpoint.handle_datagram(self.now, address(wire, port), None, bytes);
                }
            }
            return;
        }
        let Some(mut id) = socket else { return };
        if id.is_handshake() {
            // The answer to an induction may name the caller in the handshake.
            let Ok(Packet::Control(packet)) = Packet::parse(bytes) else { return };
            let Control::Handshake(handshake) = packet.control else { return };
            id = handshake.socket_id;
        }
        self.groups[0].as_mut().expect("it is always there").handle_datagram(self.now, id, bytes);
    }

    fn forge_group(&mut self, lane: Lane, other_id: bool, info: GroupInfo) {
        for (_, bytes) in self.queue(lane) {
            // The block as both ends write it: its kind, two words, and a group's ID.
            let found = bytes.windows(5).position(|at| at[..4] == [0, 8, 0, 2] && at[4] & 0xC0 == 0x40);
            if let Some(place) = found
                && let Some(content) = bytes.get_mut(place + 4..place + 12)
            {
                if other_id {
                    content[..4].copy_from_slice(&info.id.to_be_bytes());
                }
                content[4] = info.group_type % 4;
                content[5] = info.flags;
                content[6..].copy_from_slice(&info.weight.to_be_bytes());
                return;
            }
        }
    }

    // ---- a stranger --------------------------------------------------------------------------------------------

    /// What seems to come from the other end of a link.
    fn forge(&self, wire: usize, way: usize, said: &Said) -> Vec<u8> {
        let destination = SocketId::new(self.wires[wire].sockets[1 - way]);
        let clock = (self.now.as_micros() & 0xFFFF_FFFF) as u32;
        let stamp =
            |off_ms: i16| Timestamp::new(clock.wrapping_add_signed(i32::from(off_ms).wrapping_mul(1_000)));
        let (from, to) = (self.next_number(way), self.next_number(1 - way));
        let control = |content| wire::control(clock, destination, content);
        match *said {
            Said::Data { ref seq, off_ms, len, flags, msgno } => {
                let header = DataHeader {
                    seq: self.seq(seq, from),
                    boundary: [Boundary::Solo, Boundary::First, Boundary::Middle, Boundary::Last]
                        [usize::from(flags % 4)],
                    in_order: flags & 4 != 0,
                    key: if flags & 8 == 0 { KeyFlag::None } else { KeyFlag::Even },
                    retransmitted: flags & 16 != 0,
                    msgno: MsgNumber::new(msgno),
                    timestamp: stamp(off_ms),
                    destination,
                };
                let mut bytes = Vec::new();
                DataPacket { header, payload: &vec![0; usize::from(len) % 1500] }.write(&mut bytes);
                bytes
            }
            Said::Ack {
                ref next,
                number,
                light,
                figures: [rtt_us, rtt_var_us, available_packets, a, b, c],
            } => {
                let detail = if light {
                    AckDetail::Light
                } else {
                    AckDetail::Full {
                        rtt_us,
                        rtt_var_us,
                        available_packets,
                        receive_rate_pps: a,
                        link_capacity_pps: b,
                        receive_rate_bps: c,
                    }
                };
                control(Control::Ack(Ack { number, next: self.seq(next, to), detail }))
            }
            Said::Nak(ref ranges) => {
                let ranges: Vec<(SeqNumber, SeqNumber)> = ranges
                    .iter()
                    .map(|(first, span)| (self.seq(first, to), self.seq(first, to) + u32::from(*span)))
                    .collect();
                control(Control::Nak(LossReport::Ranges(&ranges)))
            }
            Said::AckAck(number, off_ms) => {
                wire::control(stamp(off_ms).value(), destination, Control::AckAck { number })
            }
            Said::DropRequest { msgno, ref first, span } => {
                let first = self.seq(first, from);
                let last = first + u32::from(span);
                control(Control::DropRequest(DropRequest { msgno: MsgNumber::new(msgno), first, last }))
            }
            Said::Report { ref next, span, ref runs } => {
                let next = self.seq(next, to);
                let mut at = next;
                let mut missing = Vec::new();
                for (skip, len) in runs {
                    let first = at + u32::from(*skip);
                    at = first + u32::from(*len) + 1;
                    missing.push((first, at.prev()));
                }
                let content = StreamReport::new(next, next + u32::from(span), &missing).to_bytes();
                control(Control::UserDefined { subtype: STREAM_REPORT, info: 0, content: &content })
            }
            Said::Keepalive => control(Control::Keepalive),
            Said::Shutdown => control(Control::Shutdown),
            Said::PeerError(code) => control(Control::PeerError(code)),
            Said::Any { kind, info, ref content } => {
                let kind = if kind == 0xFF { 0x7FFF } else { u16::from(kind % 10) };
                let mut bytes = wire::control_header(kind);
                bytes[4..8].copy_from_slice(&info.to_be_bytes());
                bytes[8..12].copy_from_slice(&clock.to_be_bytes());
                bytes[12..].copy_from_slice(&destination.value().to_be_bytes());
                bytes.extend_from_slice(content);
                bytes
            }
        }
    }

    /// The number that the sender of this way gives next.
    fn next_number(&self, way: usize) -> SeqNumber {
        self.groups[way].as_ref().and_then(Group::next_numbers).map_or(self.isn, |numbers| numbers.0)
    }

    fn seq(&self, near: &Near, next: SeqNumber) -> SeqNumber {
        let moved =
            |from: SeqNumber, by: i32| SeqNumber::new(from.value().wrapping_add_signed(by) & SeqNumber::MASK);
        match *near {
            Near::Next(by) => moved(next, i32::from(by)),
            Near::First(by) => moved(self.isn, i32::from(by)),
            Near::Any(number) => SeqNumber::new(number & SeqNumber::MASK),
        }
    }

    // ---- what the owners do ------------------------------------------------------------------------------------

    fn add_link(&mut self, weight: u16, other_latency: Option<u16>) {
        if self.wires.len() >= LINKS {
            return;
        }
        let config = other_latency.map(|latency| {
            let mut config = self.config.clone();
            config.set(SocketOption::Latency, i32::from(latency)).expect("in range");
            config
        });
        let caller = self.groups[0].as_mut().expect("it is always there");
        let link = caller.add_link(self.now, weight, config);
        self.wires.push(Wire { link, ..Wire::default() });
    }

    fn call(&mut self, link: LinkId) {
        let caller = self.groups[0].as_mut().expect("it is always there");
        let wire = self.wires.iter().position(|wire| wire.link == Some(link)).expect("a link has a wire");
        if self.failing > 0 {
            self.failing -= 1;
            caller.call_failed(self.now, link);
            return;
        }
        self.next_id += 1;
        // Another port with each try, as a host would use.
        self.wires[wire].port = (self.next_id % 60_000) as u16;
        self.wires[wire].sockets[0] = self.next_id;
        self.called.insert(self.next_id, wire);
        let setup = LinkSetup {
            socket: SocketId::new(self.next_id),
            peer: SocketAddr::from(([10, 9, 0, 1], 6_000)),
            local_ip: None,
        };
        caller.call(self.now, link, setup);
    }

    fn accept(&mut self, mut incoming: Incoming) {
        let now = self.now;
        if let Some(group) = incoming.group.as_mut().filter(|_| self.plain[0]) {
            group.flags = 0;
        }
        if self.refusing > 0 {
            self.refusing -= 1;
            self.endpoint.reject(now, &incoming, RejectReason::Peer);
            return;
        }
        if self.groups[1].as_ref().is_none_or(|mirror| mirror.state() == State::Closed) {
            self.generation = self.generation.wrapping_add(1);
            self.sent[1] = 0;
            self.played[1] = None;
            self.groups[1] =
                Group::mirror(now, self.config.clone(), 0x77_0000 + u32::from(self.generation), &incoming);
        }
        let Some(mirror) = &mut self.groups[1] else {
            self.endpoint.reject(now, &incoming, RejectReason::Group);
            return;
        };
        if let Err(reason) = mirror.may_join(&incoming) {
            self.endpoint.reject(now, &incoming, reason);
            return;
        }
        self.next_id += 1;
        let id = SocketId::new(self.next_id);
        let mut terms = mirror.terms(&incoming);
        if let Some(group) = terms.group.as_mut().filter(|_| self.plain[1]) {
            group.flags = 0;
        }
        if let Ok(link) = self.endpoint.accept_link(now, &incoming, &self.config, id, terms) {
            let wire = wire_of(incoming.peer);
            self.accepted.insert(self.next_id, wire);
            self.wires[wire].sockets[1] = self.next_id;
            mirror.join(now, link).expect("it may join");
            self.met = true;
        }
    }

    fn send(&mut self, who: usize, len: u16, ttl_ms: Option<u16>) {
        let Some(group) = &mut self.groups[who] else { return };
        let generation = if who == 1 { self.generation } else { 0 };
        let message = payload(generation, self.sent[who], len);
        let mut message = Message::new(&message);
        message.ttl = ttl_ms.map(|ttl| Micros::from_millis(u64::from(ttl)));
        let space = group.send_space();
        match group.send(self.now, message) {
            Ok(_) => {
                assert!(space > 0, "taken, where there was no room");
                self.sent[who] += 1;
            }
            Err(_) => assert!(space == 0 || usize::from(len) > 1_000, "refused, where there was room"),
        }
    }

    fn receive(&mut self, who: usize) {
        let Some(group) = &mut self.groups[who] else { return };
        let mut bytes = Vec::new();
        for taken in 0.. {
            assert!(taken <= self.config.receive_buffer_packets(), "more than there can be");
            bytes.clear();
            let Ok(received) = group.recv(self.now, &mut bytes) else { break };
            assert_eq!(received.len, bytes.len());
            assert!(received.play_time <= self.now, "handed out before its time");
            if self.clean {
                let (generation, number) = read(&bytes);
                let next = Some((generation, number));
                assert!(next > self.played[who], "{next:?} after {:?}", self.played[who]);
                self.played[who] = next;
            }
        }
        assert!(
            group.next_delivery().is_none_or(|at| at > self.now),
            "it has more, and does not hand it out"
        );
    }

    fn wait_for_timer(&mut self) {
        let timeouts =
            self.groups.iter().flatten().filter_map(Group::next_timeout).map(|deadline| deadline.at);
        let deliveries = self.groups.iter().flatten().filter_map(Group::next_delivery);
        if let Some(at) = timeouts.chain(deliveries).chain(self.endpoint.next_timeout()).min() {
            self.now = self.now.max(at);
        }
    }

    // ---- promises ----------------------------------------------------------------------------------------------

    /// What is due is done in a few rounds, and then the next deadline lies ahead: else an owner would never sleep.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.drive();
            let mut deadlines = self.groups.iter().flatten().filter_map(Group::next_timeout);
            if deadlines.all(|deadline| deadline.at > self.now) {
                return;
            }
        }
        let deadlines: Vec<_> = self.groups.iter().flatten().map(Group::next_timeout).collect();
        panic!("{deadlines:?} stay due at {:?}", self.now);
    }

    fn drive(&mut self) {
        let now = self.now;
        self.endpoint.handle_timeout(now);
        while let Some(incoming) = self.endpoint.poll_incoming() {
            self.accept(incoming);
        }
        let mut batch = std::mem::take(&mut self.batch);
        while let Some(transmit) = self.endpoint.poll_transmit(&mut batch) {
            let wire = wire_of(transmit.to);
            self.post(wire, 1, transmit.to.port(), batch.bytes().to_vec());
        }
        for who in 0..2 {
            let Some(group) = &mut self.groups[who] else { continue };
            group.handle_timeout(now);
            let mut events = 0;
            while let Some(event) = self.groups[who].as_mut().and_then(Group::poll_event) {
                if let Event::Wanted(link) = event {
                    assert_eq!(who, 0, "a mirror calls nobody");
                    self.call(link);
                }
                events += 1;
                assert!(events < EVENTS_MAX, "so much cannot happen at once");
            }
            let mut batches = 0;
            while let Some((socket, transmit)) =
                self.groups[who].as_mut().and_then(|group| group.poll_transmit(now, &mut batch))
            {
                batches += 1;
                assert!(batches < BATCHES_MAX, "it never stops sending");
                assert_eq!(transmit.len, batch.bytes().len());
                let known = if who == 0 { &self.called } else { &self.accepted };
                let wire = known[&socket.value()];
                for datagram in batch.bytes().chunks(transmit.segment_size) {
                    assert!(datagram.len() <= self.datagram_max, "a datagram of {} bytes", datagram.len());
                    let packet = Packet::parse(datagram).expect("what leaves is valid");
                    assert_eq!(wire::written(&packet), datagram);
                    self.post(wire, who, self.wires[wire].port, datagram.to_vec());
                }
            }
        }
        self.batch = batch;
    }

    fn check(&self) {
        for group in self.groups.iter().flatten() {
            let memory = group.memory();
            assert!(
                memory <= self.memory_max,
                "{memory} bytes held, where {} are the bound",
                self.memory_max
            );
            assert!(group.links().len() <= LINKS_MAX);
            let _ = group.snapshot(self.now);
        }
    }

    /// Both owners close, and nothing comes through any more: both end.
    fn end(&mut self) -> bool {
        let closed = |group: &Group| group.state() == State::Closed;
        for group in self.groups.iter_mut().flatten() {
            group.close(self.now);
        }
        for _ in 0..20_000 {
            self.settle();
            self.check();
            (0..2).for_each(|who| self.receive(who));
            self.wires.iter_mut().flat_map(|wire| &mut wire.ways).for_each(VecDeque::clear);
            if self.groups.iter().flatten().all(closed) {
                break;
            }
            let step = self.now + Micros::from_millis(10);
            self.wait_for_timer();
            self.now = self.now.max(step);
        }
        for group in self.groups.iter().flatten() {
            assert!(closed(group), "it does not come to its end: {:?}", group.state());
            assert_eq!(group.next_timeout(), None);
            assert_eq!(group.next_delivery(), None);
        }
        self.met
    }
}

impl Setup {
    fn config(&self) -> Config {
        let mut config = Config::live();
        let packets = |count: u8| i32::from(count) * 4 * 1472;
        for (option, value) in [
            (SocketOption::GroupConnect, OptionValue::from(1)),
            (SocketOption::Latency, OptionValue::from(i32::from(self.latency_ms))),
            (SocketOption::TlPktDrop, OptionValue::from(!self.no_tlpktdrop)),
            (SocketOption::NakReport, OptionValue::from(!self.no_nak_report)),
            (SocketOption::PeerIdleTimeo, OptionValue::from(i32::from(self.peer_idle_ms) + 1)),
            (
                SocketOption::GroupMinStableTimeo,
                OptionValue::from(60 + i32::from(self.min_stable_ms) % 4_000),
            ),
            (SocketOption::Linger, OptionValue::from(i32::from(self.linger_s))),
            (SocketOption::SndBuf, OptionValue::from(packets(self.send_packets).max(1))),
            (SocketOption::RcvBuf, OptionValue::from(packets(self.receive_packets).max(1))),
            (SocketOption::MaxBw, OptionValue::from(self.max_bw.map_or(-1, i64::from))),
        ] {
            config.set(option, value).expect("all of these are in range");
        }
        if self.encrypted & 7 == 7 {
            config.set(SocketOption::Passphrase, PASSPHRASE).expect("of a good length");
            let gcm = i32::from(self.encrypted >> 7);
            config.set(SocketOption::CryptoMode, 1 + gcm).expect("there are two");
        }
        config
    }
}

/// What a buffer of so many packets may hold: its payloads, a note for each, and a few spare chunks.
fn memory_max(packets: u32) -> usize {
    (packets as usize + 128) * (1500 + 128)
}

/// Which mirror sent it, if one did, and its number; every byte behind that is the low byte of the number.
fn payload(generation: u8, number: u32, len: u16) -> Vec<u8> {
    let [.., low] = number.to_be_bytes();
    let mut bytes = vec![low; 5 + usize::from(len) % 1_600];
    bytes[0] = generation;
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn read(bytes: &[u8]) -> (u8, u32) {
    let [generation, number @ .., _] = bytes.first_chunk::<6>().map_or_else(
        || {
            let [a, b, c, d, e] = *bytes.first_chunk::<5>().expect("no message is shorter");
            [a, b, c, d, e, 0]
        },
        |first| *first,
    );
    let number = u32::from_be_bytes(number);
    assert!(bytes[5..].iter().all(|byte| *byte == number.to_be_bytes()[3]), "changed on the way");
    (generation, number)
}

/// The caller's address on a wire.
fn address(wire: usize, port: u16) -> SocketAddr {
    ([10, 0, wire as u8, 1], port.max(1)).into()
}

fn wire_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => usize::from(address.ip().octets()[2]),
        SocketAddr::V6(address) => panic!("nobody calls from {address}"),
    }
}
