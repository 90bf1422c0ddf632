//! Two groups and the links between them on virtual time: one seed, one run.
//!
//! The caller's group and the mirror that a listener makes of it exchange real datagrams over emulated links, which lose, queue,
//! jitter and fail as their [`Profile`]s say. What is played is compared with what was sent, packet by packet.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use srt_bonding::{Event, Group, GroupSetup, LinkId, LinkReport, LinkSetup, Mode};
use srt_impair::{Cause, Model, Profile, UDP_IP_OVERHEAD};
use srt_protocol::{
    config::Config,
    connection::{State, TransmitBatch},
    endpoint::{Endpoint, Route},
    entropy::{Entropy, NoEntropy},
    packet::{Control, Extension, Packet},
    stream::Message,
    time::{Instant, Micros},
    types::{SeqNumber, SocketId},
};

use crate::sim::Random;

/// When the world begins.
pub const EPOCH: Instant = Instant::from_micros(1_000_000_000);
/// Deadlines closer to each other are one.
const STEP: Micros = Micros::from_micros(100);
/// Bytes of a message.
pub const PAYLOAD: usize = 1_316;

/// What becomes of a link on the way.
#[expect(clippy::exhaustive_enums, reason = "who interprets it has to know them all")]
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Both directions do this from now on.
    Both(Profile),
    /// From the caller to the listener this holds from now on.
    Forth(Profile),
    /// From the listener to the caller this holds from now on.
    Back(Profile),
    /// Nothing passes for so many seconds: from the caller to the listener, and from the listener to the caller.
    Cut(f64, f64),
    /// What the caller sends comes from another address from now on, as when a NAT forgets; what is sent to the one before is lost.
    Address,
    /// The caller takes the link out.
    Remove,
    /// The caller adds it again.
    Add,
}

/// One link: what both directions do, and its weight.
#[derive(Clone, Debug)]
pub struct Path {
    /// From the caller to the listener.
    pub forth: Profile,
    /// From the listener to the caller.
    pub back: Profile,
    /// In the group.
    pub weight: u16,
    /// What becomes of it later: seconds from the start, in order, and what changes then.
    pub later: Vec<(f64, Change)>,
    /// When the caller adds it, in seconds from the start.
    pub from: f64,
    /// The caller's options for it, where they are not those of the group.
    pub config: Option<Config>,
}

impl Path {
    /// A link that does the same in both directions.
    ///
    /// # Panics
    /// If the text is no profile.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let profile: Profile = text.parse().expect("a profile");
        Self { forth: profile.clone(), back: profile, weight: 0, later: Vec::new(), from: 0.0, config: None }
    }

    /// The same with a weight.
    #[must_use]
    pub const fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// The same that becomes another after so many seconds.
    ///
    /// # Panics
    /// If the text is no profile.
    #[must_use]
    pub fn then(mut self, seconds: f64, text: &str) -> Self {
        self.later.push((seconds, Change::Both(text.parse().expect("a profile"))));
        self
    }

    /// The same, added after so many seconds.
    #[must_use]
    pub const fn from(mut self, seconds: f64) -> Self {
        self.from = seconds;
        self
    }
}

/// Who sends.
#[expect(clippy::exhaustive_enums, reason = "there are two sides")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The group that calls.
    Caller,
    /// The group that was called.
    Listener,
    /// Both.
    Both,
}

/// What is to happen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which link carries what.
    pub mode: Mode,
    /// The links.
    pub paths: Vec<Path>,
    /// Options of both ends.
    pub config: Config,
    /// Bits of payload per second.
    pub rate_bps: u64,
    /// How long is sent, in seconds.
    pub seconds: f64,
    /// Who sends.
    pub sender: Sender,
    /// The first sequence number.
    pub isn: SeqNumber,
    /// The listener says that it does not merge links, as a libsrt would.
    pub plain_peer: bool,
}

impl Plan {
    /// Eight Mb/s for ten seconds from the caller to the listener.
    ///
    /// # Panics
    /// If the latency is none.
    #[must_use]
    pub fn new(mode: Mode, latency_ms: i32, paths: Vec<Path>) -> Self {
        let mut config = crate::sim::latency_ms(latency_ms);
        config.set_text("groupconnect", "1").expect("an option");
        Self {
            mode,
            paths,
            config,
            rate_bps: 8_000_000,
            seconds: 10.0,
            sender: Sender::Caller,
            isn: SeqNumber::new(SeqNumber::MASK - 999), // the numbers wrap on the way
            plain_peer: false,
        }
    }

    /// The same at another rate for another time.
    #[must_use]
    pub const fn offer(mut self, rate_bps: u64, seconds: f64) -> Self {
        (self.rate_bps, self.seconds) = (rate_bps, seconds);
        self
    }
}

/// What one direction came to.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    /// Messages sent: when.
    pub sent: Vec<Instant>,
    /// Messages played: which, and when.
    pub played: Vec<(u32, Instant)>,
    /// Messages refused for want of room.
    pub refused: u64,
}

impl Direction {
    /// Messages that were not played.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.sent.len() - self.played.len()
    }

    /// Those that were not, by number.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        let played: std::collections::BTreeSet<u32> = self.played.iter().map(|played| played.0).collect();
        (0..u32::try_from(self.sent.len()).unwrap_or(0)).filter(|place| !played.contains(place)).collect()
    }

    /// Whether each was played once, in the order sent.
    #[must_use]
    pub fn in_order(&self) -> bool {
        self.played.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }

    /// The shortest and longest time from sending to playing.
    #[must_use]
    pub fn delays(&self) -> (Micros, Micros) {
        let delay = |&(place, at): &(u32, Instant)| at.saturating_since(self.sent[place as usize]);
        let shortest = self.played.iter().map(delay).min().unwrap_or_default();
        (shortest, self.played.iter().map(delay).max().unwrap_or_default())
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What the caller sent.
    pub forth: Direction,
    /// What the listener sent.
    pub back: Direction,
    /// What happened to the caller's group, and when.
    pub events: Vec<(Instant, Event)>,
    /// What happened to the listener's.
    pub mirror_events: Vec<(Instant, Event)>,
    /// How the caller's links stood at the end of sending.
    pub links: Vec<LinkReport>,
    /// Bytes of IP that entered each link towards the listener, and came out of it.
    pub wire: Vec<(u64, u64)>,
    /// The most memory that the buffers of both ends took.
    pub memory: usize,
    /// Packets of data that entered each link towards the listener.
    pub carried: Vec<u64>,
    /// DROPREQs that entered each link towards the listener.
    pub drop_requests: Vec<u64>,
    /// A digest of everything that was sent.
    pub digest: u64,
    /// What became of each packet of data on each link towards the listener, in the order in which they entered.
    pub copies: Vec<Copy>,
    /// When each link was up at both ends: from, and until.
    pub ups: Vec<Vec<(Instant, Instant)>>,
}

/// One packet of data on one link.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Copy {
    /// Which message.
    pub place: u32,
    /// The link, counted from 0.
    pub link: usize,
    /// When it entered.
    pub at: Instant,
    /// Why the link lost it, where it did.
    pub lost: Option<Cause>,
    /// When it came to a link that the listener has.
    pub came: Option<Instant>,
}

impl Outcome {
    /// Bytes of IP on all links towards the listener for each byte of payload sent.
    #[must_use]
    pub fn overhead(&self) -> f64 {
        let wire: u64 = self.wire.iter().map(|wire| wire.0).sum();
        wire as f64 / (self.forth.sent.len() * PAYLOAD) as f64
    }
}

#[derive(Debug)]
struct Seeded(std::sync::Mutex<Random>);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.lock().expect("nobody panics here").fill(out);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forth,
    Back,
}

struct Wire {
    forth: Model,
    back: Model,
    later: VecDeque<(Instant, Change)>,
    caller: SocketAddr,
    /// When it came up at the caller, and at the listener, where it is up.
    up: (Option<Instant>, Option<Instant>),
    /// The caller's link, and the socket ID it calls with.
    link: Option<LinkId>,
    weight: u16,
    config: Option<Config>,
    /// When the caller is to add it; `None` where it has taken it out.
    from: Option<Instant>,
    entered: u64,
    came_out: u64,
    carried: u64,
    drop_requests: u64,
}

/// A datagram on its way.
struct UnderWay {
    wire: usize,
    way: Way,
    /// The caller's address when it entered.
    caller: SocketAddr,
    datagram: Vec<u8>,
    /// Which of the copies it is.
    copy: Option<usize>,
}

struct World {
    plan: Plan,
    now: Instant,
    random: Random,
    wires: Vec<Wire>,
    caller: Group,
    endpoint: Endpoint,
    mirror: Option<Group>,
    /// The socket IDs of the mirror's links, by wire.
    accepted: BTreeMap<u32, usize>,
    /// The mirror's links that are up.
    joined: BTreeMap<LinkId, usize>,
    called: BTreeMap<u32, usize>,
    under_way: BTreeMap<(Instant, u64), UnderWay>,
    count: u64,
    next_id: u32,
    out: Outcome,
    next_send: [u64; 2],
    shown: u64,
    shows: bool,
}

/// Runs a plan.
#[must_use]
pub fn run(seed: u64, plan: Plan) -> Outcome {
    World::new(seed, plan).run()
}

fn payload(place: u32) -> Vec<u8> {
    place.to_be_bytes().into_iter().cycle().take(PAYLOAD).collect()
}

impl World {
    fn new(seed: u64, plan: Plan) -> Self {
        let mut random = Random::new(seed, "bonded");
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded(std::sync::Mutex::new(Random::new(seed, "keys"))));
        let wires = plan.paths.iter().zip(1_u8..).map(|(path, number)| Wire {
            forth: Model::new(path.forth.clone(), random.bits()),
            back: Model::new(path.back.clone(), random.bits()),
            later: path.later.iter().map(|(at, change)| (after(*at), change.clone())).collect(),
            caller: SocketAddr::from(([10, 0, number, 1], 5_000)),
            up: (None, None),
            link: None,
            weight: path.weight,
            config: path.config.clone(),
            from: Some(after(path.from)),
            entered: 0,
            came_out: 0,
            carried: 0,
            drop_requests: 0,
        });
        let wires: Vec<Wire> = wires.collect();
        let setup = GroupSetup {
            config: plan.config.clone(),
            mode: plan.mode,
            id: random.word(),
            isn: plan.isn,
            entropy: Arc::clone(&entropy),
        };
        let mut endpoint = Endpoint::new([7; 16], entropy);
        endpoint.listen(plan.config.clone(), 16);
        let empty = Outcome {
            forth: Direction::default(),
            back: Direction::default(),
            events: Vec::new(),
            mirror_events: Vec::new(),
            links: Vec::new(),
            wire: Vec::new(),
            memory: 0,
            carried: Vec::new(),
            drop_requests: Vec::new(),
            digest: 0,
            copies: Vec::new(),
            ups: vec![Vec::new(); wires.len()],
        };
        Self {
            now: EPOCH,
            caller: Group::connect(EPOCH, setup),
            endpoint,
            mirror: None,
            wires,
            accepted: BTreeMap::new(),
            joined: BTreeMap::new(),
            called: BTreeMap::new(),
            under_way: BTreeMap::new(),
            count: 0,
            next_id: 100,
            out: empty,
            next_send: [0; 2],
            shown: 0,
            shows: std::env::var_os("SRT_SHOW").is_some(),
            random,
            plan,
        }
    }

    fn run(mut self) -> Outcome {
        let sends_until = after(self.plan.seconds);
        let mut closing = false;
        let end = sends_until + Micros::from_secs(20);
        while self.now < end {
            self.change();
            self.deliver();
            self.offer();
            for _ in 0..3 {
                self.drive();
            }
            self.assert_asleep();
            self.play();
            if !closing && self.now >= sends_until {
                closing = true;
                self.out.links = self.caller.links();
                if self.plan.sender == Sender::Listener {
                    if let Some(mirror) = &mut self.mirror {
                        mirror.close(self.now);
                    }
                } else {
                    self.caller.close(self.now);
                }
            }
            let memory = self.caller.memory() + self.mirror.as_ref().map_or(0, Group::memory);
            self.out.memory = self.out.memory.max(memory);
            let ended = |group: &Group| group.state() == State::Closed;
            if closing && ended(&self.caller) && self.mirror.as_ref().is_none_or(ended) {
                break;
            }
            self.show();
            self.now = self.next_look(closing).max(self.now + STEP).min(end);
        }
        (0..self.wires.len()).for_each(|wire| self.note_up(wire, |up| *up = (None, None)));
        for wire in &self.wires {
            self.out.wire.push((wire.entered, wire.came_out));
            self.out.carried.push(wire.carried);
            self.out.drop_requests.push(wire.drop_requests);
        }
        self.out
    }

    /// Four times a second, where SRT_SHOW is set: how the links stand.
    fn show(&mut self) {
        let quarter = self.now.as_micros() / 250_000;
        if !self.shows || std::mem::replace(&mut self.shown, quarter) == quarter {
            return;
        }
        println!("{:8.3}", self.now.saturating_since(EPOCH).as_micros() as f64 / 1e6);
        for link in self.caller.links() {
            println!(
                "  link {} {:<10} rtt {:>6} queue {:>6} loss {:>2}% rate {:>8?} {:?} delivered {:>7} in flight {:>4} sent {} again {} lost {}",
                link.id,
                link.state.name(),
                link.rtt.as_micros(),
                link.queueing.as_micros(),
                link.loss_percent,
                link.rate,
                link.capacity,
                link.delivered_bps,
                link.in_flight,
                link.counters.sent_packets,
                link.counters.retransmitted_packets,
                link.counters.reported_lost_packets,
            );
        }
    }

    /// What is due is done after a few rounds: else an owner's timer would never sleep.
    fn assert_asleep(&self) {
        for group in [Some(&self.caller), self.mirror.as_ref()].into_iter().flatten() {
            let due = group.next_timeout().filter(|deadline| deadline.at <= self.now);
            assert_eq!(due, None, "stays due at {:?}", self.now);
        }
    }

    fn next_look(&self, closing: bool) -> Instant {
        let mut next = self.under_way.keys().next().map(|key| key.0);
        let mut sooner = |at: Option<Instant>| next = [next, at].into_iter().flatten().min();
        sooner(self.caller.next_timeout().map(|deadline| deadline.at));
        sooner(self.caller.next_delivery());
        if let Some(mirror) = &self.mirror {
            sooner(mirror.next_timeout().map(|deadline| deadline.at));
            sooner(mirror.next_delivery());
        }
        if !closing {
            sooner(Some(after(self.plan.seconds)));
            sooner((self.caller.state() == State::Connected).then(|| self.due(0).min(self.due(1))));
            let absent = self.wires.iter().filter(|wire| wire.link.is_none());
            sooner(absent.filter_map(|wire| wire.from).min());
        }
        sooner(self.wires.iter().filter_map(|wire| wire.later.front()).map(|later| later.0).min());
        next.unwrap_or(self.now + Micros::from_millis(100))
    }

    fn change(&mut self) {
        let now_us = self.now.saturating_since(EPOCH).as_micros();
        for number in 0..self.wires.len() {
            while self.wires[number].later.front().is_some_and(|later| later.0 <= self.now)
                && let Some((_, change)) = self.wires[number].later.pop_front()
            {
                let wire = &mut self.wires[number];
                match change {
                    Change::Both(profile) => {
                        wire.forth.set_profile(profile.clone());
                        wire.back.set_profile(profile);
                    }
                    Change::Forth(profile) => wire.forth.set_profile(profile),
                    Change::Back(profile) => wire.back.set_profile(profile),
                    Change::Cut(forth, back) => {
                        wire.forth.cut_until(now_us + micros(forth));
                        wire.back.cut_until(now_us + micros(back));
                    }
                    Change::Address => self.move_caller(number),
                    Change::Remove => {
                        wire.from = None;
                        if let Some(link) = wire.link.take() {
                            self.caller.remove_link(self.now, link);
                            self.note_up(number, |up| up.0 = None);
                        }
                    }
                    Change::Add => wire.from = Some(self.now),
                }
            }
            let wire = &mut self.wires[number];
            if wire.link.is_none() && wire.from.is_some_and(|from| from <= self.now) {
                wire.link = self.caller.add_link(self.now, wire.weight, wire.config.clone());
            }
        }
    }

    /// The caller is seen at another port than before.
    fn move_caller(&mut self, wire: usize) {
        let port = self.wires[wire].caller.port();
        self.wires[wire].caller.set_port(if port >= 60_000 { 5_000 } else { port + 1 });
    }

    /// A link came up, or went down, at one end.
    fn note_up(&mut self, wire: usize, change: impl FnOnce(&mut (Option<Instant>, Option<Instant>))) {
        let up = &mut self.wires[wire].up;
        let before = up.0.zip(up.1);
        change(up);
        if let Some((here, there)) = before
            && (up.0.is_none() || up.1.is_none())
        {
            self.out.ups[wire].push((here.max(there), self.now));
        }
    }

    /// When the next message is due of the caller (0) or the listener (1).
    fn due(&self, who: usize) -> Instant {
        let period = (PAYLOAD as u64 * 8 * 1_000_000).checked_div(self.plan.rate_bps).unwrap_or(1_000);
        // Not before the world has come to be.
        EPOCH + Micros::from_millis(500) + Micros::from_micros(period * self.next_send[who])
    }

    fn offer(&mut self) {
        let until = after(self.plan.seconds);
        for who in 0..2 {
            let sends = match self.plan.sender {
                Sender::Caller => who == 0,
                Sender::Listener => who == 1,
                Sender::Both => true,
            };
            if !sends {
                self.next_send[who] = u64::MAX >> 32;
                continue;
            }
            while self.due(who) <= self.now && self.due(who) < until {
                self.next_send[who] += 1;
                let group = if who == 0 { Some(&mut self.caller) } else { self.mirror.as_mut() };
                let Some(group) = group.filter(|group| group.state() == State::Connected) else { continue };
                let direction = if who == 0 { &mut self.out.forth } else { &mut self.out.back };
                let place = u32::try_from(direction.sent.len()).unwrap_or(u32::MAX);
                match group.send(self.now, Message::new(&payload(place))) {
                    Ok(_) => direction.sent.push(self.now),
                    Err(_) => direction.refused += 1,
                }
            }
        }
    }

    fn play(&mut self) {
        let mut bytes = Vec::new();
        let groups = [Some(&mut self.caller), self.mirror.as_mut()];
        for (group, direction) in groups.into_iter().zip([&mut self.out.back, &mut self.out.forth]) {
            let Some(group) = group else { continue };
            while group.next_delivery().is_some_and(|at| at <= self.now) {
                bytes.clear();
                let Ok(received) = group.recv(self.now, &mut bytes) else { continue };
                let place = bytes.first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
                assert_eq!(received.len, PAYLOAD);
                assert_eq!(bytes, payload(place), "a message changed on the way");
                direction.played.push((place, self.now));
            }
        }
    }

    fn drive(&mut self) {
        let now = self.now;
        self.endpoint.handle_timeout(now);
        self.accept();
        let mut batch = TransmitBatch::default();
        while let Some(transmit) = self.endpoint.poll_transmit(&mut batch) {
            let wire = self.wires.iter().position(|wire| wire.caller == transmit.to);
            if let Some(wire) = wire {
                self.post(wire, Way::Back, batch.bytes().to_vec());
            }
        }
        self.caller.handle_timeout(now);
        while let Some(event) = self.caller.poll_event() {
            let wire = |link| self.wires.iter().position(|wire| wire.link == Some(link));
            match event {
                Event::Wanted(link) => self.call(link),
                Event::LinkUp(link) => {
                    if let Some(wire) = wire(link) {
                        self.note_up(wire, |up| up.0 = Some(now));
                    }
                }
                Event::LinkDown(link, _) => {
                    if let Some(wire) = wire(link) {
                        self.note_up(wire, |up| up.0 = None);
                    }
                }
                _ => {}
            }
            self.out.events.push((now, event));
        }
        while let Some((socket, transmit)) = self.caller.poll_transmit(now, &mut batch) {
            let wire = self.called.get(&socket.value()).copied();
            for datagram in batch.bytes().chunks(transmit.segment_size) {
                if let Some(wire) = wire {
                    self.post(wire, Way::Forth, datagram.to_vec());
                }
            }
        }
        let Some(mirror) = &mut self.mirror else { return };
        mirror.handle_timeout(now);
        let mut gone = Vec::new();
        while let Some(event) = mirror.poll_event() {
            if let Event::LinkDown(link, _) = event {
                gone.extend(self.joined.remove(&link));
            }
            self.out.mirror_events.push((now, event));
        }
        let mut posts = Vec::new();
        while let Some((socket, transmit)) = mirror.poll_transmit(now, &mut batch) {
            // To an address that is the caller's no more nothing gets through.
            let wire = self.accepted.get(&socket.value()).copied();
            let wire = wire.filter(|&wire| self.wires[wire].caller == transmit.to);
            for datagram in batch.bytes().chunks(transmit.segment_size) {
                posts.push((wire, datagram.to_vec()));
            }
        }
        for wire in gone {
            if !self.joined.values().any(|joined| *joined == wire) {
                self.note_up(wire, |up| up.1 = None);
            }
        }
        for (wire, datagram) in posts {
            if let Some(wire) = wire {
                self.post(wire, Way::Back, datagram);
            }
        }
    }

    fn call(&mut self, link: LinkId) {
        let Some(wire) = self.wires.iter().position(|wire| wire.link == Some(link)) else { return };
        self.next_id += 1;
        // Another port with each try, as a host would use.
        self.move_caller(wire);
        let socket = SocketId::new(self.next_id);
        self.called.insert(self.next_id, wire);
        let peer = SocketAddr::from(([10, 1, 0, 1], 6_000));
        self.caller.call(self.now, link, LinkSetup { socket, peer, local_ip: None });
    }

    fn accept(&mut self) {
        while let Some(mut incoming) = self.endpoint.poll_incoming() {
            if self.plan.plain_peer
                && let Some(group) = &mut incoming.group
            {
                group.flags = 0;
            }
            let now = self.now;
            if self.mirror.as_ref().is_none_or(|mirror| mirror.state() == State::Closed) {
                self.joined.clear();
                (0..self.wires.len()).for_each(|wire| self.note_up(wire, |up| up.1 = None));
                self.mirror = Group::mirror(now, self.plan.config.clone(), self.random.word(), &incoming);
            }
            let Some(mirror) = &mut self.mirror else {
                self.endpoint.reject(now, &incoming, srt_protocol::handshake::RejectReason::Group);
                continue;
            };
            if let Err(reason) = mirror.may_join(&incoming) {
                self.endpoint.reject(now, &incoming, reason);
                continue;
            }
            self.next_id += 1;
            let id = SocketId::new(self.next_id);
            let terms = mirror.terms(&incoming);
            if let Ok(link) = self.endpoint.accept_link(now, &incoming, &self.plan.config, id, terms) {
                let wire = self.wires.iter().position(|wire| wire.caller.ip() == incoming.peer.ip());
                let wire = wire.expect("callers come by a wire");
                self.accepted.insert(self.next_id, wire);
                if let Some(link) = mirror.join(now, link) {
                    self.joined.insert(link, wire);
                    self.note_up(wire, |up| up.1 = Some(now));
                }
            }
        }
    }

    fn post(&mut self, wire: usize, way: Way, datagram: Vec<u8>) {
        for byte in datagram.iter().take(64) {
            let mixed = self.out.digest.rotate_left(5) ^ u64::from(*byte);
            self.out.digest = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let now_us = self.now.saturating_since(EPOCH).as_micros();
        let size = datagram.len() + UDP_IP_OVERHEAD;
        let wire_number = wire;
        let wire = &mut self.wires[wire];
        let mut data = None;
        if way == Way::Forth {
            wire.entered += size as u64;
            match Packet::parse(&datagram) {
                Ok(Packet::Data(packet)) => {
                    wire.carried += 1;
                    data = u32::try_from(packet.header.seq.distance_from(self.plan.isn)).ok();
                }
                Ok(Packet::Control(packet)) => {
                    if let Control::DropRequest(_) = packet.control {
                        wire.drop_requests += 1;
                    }
                    if let Control::Handshake(handshake) = packet.control {
                        for extension in handshake.extensions.iter().flatten() {
                            debug_assert!(
                                !matches!(extension, Extension::Unknown { .. }),
                                "libsrt knows it not"
                            );
                        }
                    }
                }
                Err(_) => {}
            }
        }
        let model = if way == Way::Forth { &mut wire.forth } else { &mut wire.back };
        let fates = model.offer(now_us, size);
        let copy = data.map(|place| {
            let lost = fates.cause();
            self.out.copies.push(Copy { place, link: wire_number, at: self.now, lost, came: None });
            self.out.copies.len() - 1
        });
        let caller = self.wires[wire_number].caller;
        for at_us in fates.arrivals() {
            if way == Way::Forth {
                self.wires[wire_number].came_out += size as u64;
            }
            self.count += 1;
            let at = EPOCH + Micros::from_micros(at_us.max(now_us + 1));
            let under_way = UnderWay { wire: wire_number, way, caller, datagram: datagram.clone(), copy };
            self.under_way.insert((at, self.count), under_way);
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let UnderWay { wire, way, caller, datagram, copy } = entry.remove();
            let socket = srt_protocol::packet::destination(&datagram);
            match (way, socket) {
                (Way::Forth, Some(_)) => {
                    // From another address than the link's it goes no further.
                    let route = self.endpoint.handle_datagram(self.now, caller, None, &datagram);
                    if let Route::Connection(id) = route
                        && let Some(mirror) = &mut self.mirror
                    {
                        mirror.handle_datagram(self.now, id, &datagram);
                        if let Some(copy) =
                            copy.filter(|_| self.joined.values().any(|joined| *joined == wire))
                        {
                            self.out.copies[copy].came.get_or_insert(self.now);
                        }
                    }
                }
                // It went to where the caller is no more.
                (Way::Back, Some(_)) if caller.port() != self.wires[wire].caller.port() => {}
                (Way::Back, Some(mut id)) => {
                    if id.is_handshake() {
                        // The answer to an induction names the caller in the handshake.
                        let Ok(Packet::Control(packet)) = Packet::parse(&datagram) else { continue };
                        let Control::Handshake(handshake) = packet.control else { continue };
                        id = handshake.socket_id;
                    }
                    self.caller.handle_datagram(self.now, id, &datagram);
                }
                (_, None) => {}
            }
        }
    }
}

fn after(seconds: f64) -> Instant {
    EPOCH + Micros::from_micros(micros(seconds))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a test")]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
