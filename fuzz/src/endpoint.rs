//! A listening endpoint and datagrams from anybody: callers, liars and noise.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use arbitrary::Arbitrary;

use crate::Counting;
use srt_protocol::{
    config::{Config, SocketOption},
    connection::{Connection, TransmitBatch},
    endpoint::{AcceptError, Endpoint, Incoming, Route},
    handshake::RejectReason,
    packet::{
        Control, EXT_CONFIG, EXT_HSREQ, Extension, Extensions, GroupInfo, Handshake, HandshakeKind, SrtFlags,
        SrtParameters, WireString,
    },
    time::{Instant, Micros},
    types::{SeqNumber, SocketId},
};

use crate::wire;

/// What comes to one port.
#[derive(Arbitrary, Debug)]
pub struct Scenario {
    backlog: u8,
    start_ms: u32,
    steps: Vec<Step>,
}

/// Something that happens.
#[derive(Arbitrary, Debug)]
enum Step {
    Raw {
        from: Who,
        datagram: Vec<u8>,
    },
    /// A handshake to nobody in particular, with any content.
    RawHandshake {
        from: Who,
        content: Vec<u8>,
    },
    Induction {
        from: Who,
        id: u8,
        isn: u32,
        mtu: u32,
        more: Vec<u8>,
    },
    Conclusion {
        from: Who,
        id: u8,
        cookie: Cookie,
        time: u32,
        offer: Offer,
    },
    /// So many callers at once, all with good cookies.
    Flood {
        first: u8,
        count: u8,
    },
    /// A packet for a connection that stands (or not).
    ToConnection {
        from: Who,
        id: u8,
        content: Vec<u8>,
    },
    Wait(u16),
    WaitLong(u8),
    WaitForTimer,
    Timeout,
    Transmit,
    Poll,
    Accept {
        other_config: bool,
        id: u8,
    },
    Reject(u16),
    /// The newest caller's ticket is used again.
    AcceptAgain {
        id: u8,
    },
    Remove {
        id: u8,
    },
    Register {
        id: u8,
        from: Who,
    },
    StopListening,
    Listen {
        backlog: u8,
    },
}

/// What a conclusion says.
#[derive(Arbitrary, Debug)]
struct Offer {
    version: u8,
    mtu: u16,
    flow_window: u32,
    isn: u32,
    no_request: bool,
    parameters: (bool, u32, u8, u16, u16),
    stream_id: Option<Vec<u8>>,
    congestion: Option<Vec<u8>>,
    group: Option<(u32, u8, u8, u16)>,
    key: Option<Vec<u8>>,
    unknown: Option<(u16, Vec<u8>)>,
}

/// Which cookie a conclusion brings.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Cookie {
    Right,
    Stale,
    Any(u32),
}

/// Where a datagram comes from.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Who {
    v6: bool,
    host: u8,
    port: u8,
}

impl Who {
    fn address(self) -> SocketAddr {
        let ip: IpAddr = if self.v6 {
            [0x2001, 0xDB8, 0, 0, 0, 0, 0, u16::from(self.host)].into()
        } else {
            [192, 0, 2, self.host].into()
        };
        SocketAddr::new(ip, 5000 + u16::from(self.port))
    }
}

const STEPS_MAX: usize = 200;
/// An answer to somebody who proved his address: an accepted conclusion is the longest.
const ANSWER_MAX: usize = 128;
/// Answers that wait at most.
const ANSWERS_WAITING_MAX: u64 = 256;

impl Scenario {
    /// Plays it.
    ///
    /// # Panics
    /// Where the endpoint breaks one of its promises.
    pub fn play(&self) {
        let mut world = World::new(self);
        for step in self.steps.iter().take(STEPS_MAX) {
            world.step(step);
        }
        world.end();
    }
}

struct World {
    now: Instant,
    endpoint: Endpoint,
    backlog: usize,
    batch: TransmitBatch,
    /// Cookies seen, by address.
    cookies: BTreeMap<SocketAddr, (Instant, u32)>,
    connections: BTreeMap<u32, Connection>,
    waiting: Vec<Incoming>,
    newest: Option<Incoming>,
    /// Datagrams and decisions that may cause an answer, less the answers seen.
    answers_due: u64,
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let backlog = usize::from(scenario.backlog % 32);
        let mut endpoint = Endpoint::new([42; 16], Arc::new(Counting::default()));
        endpoint.listen(Config::live(), backlog);
        Self {
            now: Instant::from_micros(u64::from(scenario.start_ms) * 1_000),
            endpoint,
            backlog: backlog.max(1),
            batch: TransmitBatch::default(),
            cookies: BTreeMap::new(),
            connections: BTreeMap::new(),
            waiting: Vec::new(),
            newest: None,
            answers_due: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Raw { from, ref datagram } => self.from_stranger(from.address(), datagram),
            Step::RawHandshake { from, ref content } => {
                let mut datagram = wire::control_header(0);
                datagram.extend_from_slice(content);
                self.from_stranger(from.address(), &datagram);
            }
            Step::Induction { from, id, isn, mtu, ref more } => {
                let handshake = Handshake {
                    mtu,
                    extensions: Extensions::Wire(more),
                    ..wire::induction(caller(id), SeqNumber::new(isn))
                };
                let datagram = wire::control(0, SocketId::HANDSHAKE, Control::Handshake(handshake));
                self.from_stranger(from.address(), &datagram);
            }
            Step::Conclusion { from, id, cookie, time, ref offer } => {
                let from = from.address();
                let cookie = match cookie {
                    Cookie::Any(cookie) => cookie,
                    Cookie::Stale => self.cookies.get(&from).map_or(0, |(_, cookie)| *cookie),
                    Cookie::Right => self.cookie(from),
                };
                let datagram = offer.conclusion(caller(id), cookie, time);
                self.from_caller(from, &datagram);
            }
            Step::Flood { first, count } => {
                for port in 0..count {
                    let from = Who { v6: false, host: first, port }.address();
                    let cookie = self.cookie(from);
                    self.from_caller(from, &usual_conclusion(caller(port), cookie));
                }
            }
            Step::ToConnection { from, id, ref content } => {
                let mut datagram = content.clone();
                datagram.resize(content.len().max(16), 0);
                datagram[12..16].copy_from_slice(&ours(id).value().to_be_bytes());
                self.from_stranger(from.address(), &datagram);
            }
            Step::Wait(millis) => self.now = self.now + Micros::from_millis(u64::from(millis)),
            Step::WaitLong(secs) => self.now = self.now + Micros::from_secs(u64::from(secs)),
            Step::WaitForTimer => {
                if let Some(at) = self.endpoint.next_timeout() {
                    self.now = self.now.max(at);
                    self.timeout();
                }
            }
            Step::Timeout => self.timeout(),
            Step::Transmit => self.transmit(),
            Step::Poll => self.poll(),
            Step::Accept { other_config, id } => {
                if let Some(incoming) = self.next_waiting() {
                    self.accept(&incoming, other_config, id);
                }
            }
            Step::AcceptAgain { id } => {
                if let Some(incoming) = self.newest.clone() {
                    self.accept(&incoming, false, id);
                }
            }
            Step::Reject(code) => {
                if let Some(incoming) = self.next_waiting() {
                    let reason =
                        RejectReason::from_wire(1000 + i32::from(code)).unwrap_or(RejectReason::Peer);
                    self.endpoint.reject(self.now, &incoming, reason);
                    self.answers_due += 1;
                }
            }
            Step::Remove { id } => {
                self.endpoint.remove(ours(id));
                self.connections.remove(&ours(id).value());
            }
            Step::Register { id, from } => {
                if !self.endpoint.is_taken(ours(id)) {
                    self.endpoint.register(ours(id), from.address());
                }
            }
            Step::StopListening => {
                self.endpoint.stop_listening();
                self.answers_due += self.backlog as u64;
                assert_eq!(self.endpoint.poll_incoming(), None, "nobody is offered any more");
            }
            Step::Listen { backlog } => {
                // Who waits already stays, so that the bound is the larger of both.
                let backlog = usize::from(backlog % 32);
                self.endpoint.listen(Config::live(), backlog);
                self.backlog = self.backlog.max(backlog);
            }
        }
    }

    // ---- what comes --------------------------------------------------------------------------------------------

    /// A datagram from somebody who proved nothing: at most one answer, to where it came from, and none longer than it.
    fn from_stranger(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.transmit();
        let proved = self.endpoint.stats().inductions;
        let waiting = self.endpoint.next_timeout();
        let route = self.endpoint.handle_datagram(self.now, from, None, datagram);
        self.hand_over(route, datagram);
        let mut answers = 0;
        while let Some(transmit) = self.endpoint.poll_transmit(&mut self.batch) {
            answers += 1;
            assert_eq!(transmit.to, from, "an answer to somebody else");
            assert!(self.batch.bytes().len() <= datagram.len().max(ANSWER_MAX));
            if self.endpoint.stats().inductions > proved {
                assert!(self.batch.bytes().len() <= datagram.len(), "it amplifies");
                assert_eq!(waiting, self.endpoint.next_timeout(), "an induction leaves something behind");
            }
        }
        assert!(answers <= 1, "{answers} answers to one datagram");
        self.answers_due = 0;
    }

    /// A conclusion: answered later or now, with at most one short datagram.
    fn from_caller(&mut self, from: SocketAddr, datagram: &[u8]) {
        let route = self.endpoint.handle_datagram(self.now, from, Some([198, 51, 100, 1].into()), datagram);
        assert!(!matches!(route, Route::Connection(_)));
        self.answers_due += 1;
    }

    /// The cookie of the listener for this address, as an induction fetches it.
    fn cookie(&mut self, from: SocketAddr) -> u32 {
        if let Some((at, cookie)) = self.cookies.get(&from)
            && self.now.saturating_since(*at) < Micros::from_secs(30)
        {
            return *cookie;
        }
        self.transmit();
        let induction = Control::Handshake(wire::induction(caller(0), SeqNumber::new(1)));
        let datagram = wire::control(0, SocketId::HANDSHAKE, induction);
        if self.endpoint.handle_datagram(self.now, from, None, &datagram) != Route::Handled {
            return 0; // it does not listen
        }
        self.endpoint.poll_transmit(&mut self.batch).expect("an induction is answered");
        let cookie = wire::handshake_of(self.batch.bytes()).cookie;
        self.cookies.insert(from, (self.now, cookie));
        cookie
    }

    fn hand_over(&mut self, route: Route, datagram: &[u8]) {
        if let Route::Connection(id) = route
            && let Some(connection) = self.connections.get_mut(&id.value())
        {
            connection.handle_datagram(self.now, datagram);
            connection.handle_timeout(self.now);
            let mut batches = 0;
            while connection.poll_transmit(self.now, &mut self.batch).is_some() {
                batches += 1;
                assert!(batches < 1_000, "it never stops sending");
            }
        }
    }

    // ---- what its owner does -----------------------------------------------------------------------------------

    fn poll(&mut self) {
        let mut polled = 0;
        while let Some(incoming) = self.endpoint.poll_incoming() {
            assert!(incoming.stream_id.len() <= 512);
            self.newest = Some(incoming.clone());
            self.waiting.push(incoming);
            polled += 1;
        }
        assert!(polled <= self.backlog, "{polled} wait, where {} may", self.backlog);
    }

    fn next_waiting(&mut self) -> Option<Incoming> {
        self.poll();
        self.waiting.pop()
    }

    fn accept(&mut self, incoming: &Incoming, other_config: bool, id: u8) {
        if self.endpoint.is_taken(ours(id)) {
            return;
        }
        let mut config = self.endpoint.listener_config().cloned().unwrap_or_default();
        if other_config {
            config.set(SocketOption::Latency, 2_000).expect("in range");
            config.set(SocketOption::MinVersion, 0x01_0504).expect("in range");
        }
        let known = self.endpoint.connections();
        match self.endpoint.accept(self.now, incoming, config, ours(id)) {
            Ok(connection) => {
                assert_eq!(self.endpoint.connections(), known + 1);
                assert_eq!((connection.id(), connection.peer()), (ours(id), incoming.peer));
                self.connections.insert(ours(id).value(), connection);
                self.answers_due += 1;
            }
            Err(error) => {
                assert_eq!(self.endpoint.connections(), known);
                self.answers_due += u64::from(matches!(error, AcceptError::Rejected(_)));
            }
        }
    }

    fn timeout(&mut self) {
        self.endpoint.handle_timeout(self.now);
        if let Some(at) = self.endpoint.next_timeout() {
            assert!(at > self.now, "a deadline that stays in the past");
        }
    }

    fn transmit(&mut self) {
        let mut answers = 0;
        while let Some(transmit) = self.endpoint.poll_transmit(&mut self.batch) {
            let bytes = self.batch.bytes();
            assert_eq!(transmit.len, bytes.len());
            assert!(bytes.len() <= ANSWER_MAX, "an answer of {} bytes", bytes.len());
            let _ = wire::handshake_of(bytes);
            answers += 1;
        }
        assert!(answers <= self.answers_due.min(ANSWERS_WAITING_MAX), "{answers} for {}", self.answers_due);
        self.answers_due = 0;
    }

    /// Everybody has gone: nothing of them is left.
    fn end(&mut self) {
        self.poll();
        self.now = self.now + Micros::from_secs(3_600);
        self.timeout();
        assert_eq!(self.endpoint.next_timeout(), None, "somebody waits for ever");
        for incoming in std::mem::take(&mut self.waiting) {
            let result = self.endpoint.accept(self.now, &incoming, Config::live(), SocketId::new(999_999));
            assert!(matches!(result, Err(AcceptError::Gone)));
        }
        self.transmit();
    }
}

impl Offer {
    fn conclusion(&self, id: SocketId, cookie: u32, time: u32) -> Vec<u8> {
        let (usual, version, flags, receiver_latency_ms, sender_latency_ms) = self.parameters;
        let parameters = if usual {
            wire::usual_parameters(receiver_latency_ms)
        } else {
            let flags = SrtFlags::new(u32::from(flags));
            SrtParameters { version, flags, receiver_latency_ms, sender_latency_ms }
        };
        let text = |text: &'_ [u8], max: usize| -> Vec<u8> { text.iter().copied().take(max).collect() };
        let stream_id = self.stream_id.as_ref().map(|id| text(id, 512));
        let congestion = self.congestion.as_ref().map(|name| text(name, 16));
        let mut blocks = Vec::new();
        if !self.no_request {
            blocks.push(Extension::HandshakeRequest(parameters));
        }
        if let Some(id) = &stream_id {
            blocks.push(Extension::StreamId(WireString::new(id)));
        }
        if let Some(name) = &congestion {
            blocks.push(Extension::Congestion(WireString::new(name)));
        }
        if let Some((id, group_type, flags, weight)) = self.group {
            blocks.push(Extension::Group(GroupInfo { id, group_type, flags, weight }));
        }
        if let Some(key) = &self.key {
            blocks.push(Extension::KeyMaterialRequest(key));
        }
        if let Some((kind, content)) = &self.unknown {
            blocks.push(Extension::Unknown { kind: *kind, content });
        }
        let handshake = Handshake {
            version: if self.version < 16 { u32::from(self.version) } else { 5 },
            extension_field: if self.no_request { EXT_CONFIG } else { EXT_HSREQ | EXT_CONFIG },
            kind: HandshakeKind::Conclusion,
            mtu: u32::from(self.mtu),
            flow_window: self.flow_window,
            cookie,
            extensions: Extensions::List(&blocks),
            ..wire::induction(id, SeqNumber::new(self.isn))
        };
        wire::control(time, SocketId::HANDSHAKE, Control::Handshake(handshake))
    }
}

fn usual_conclusion(id: SocketId, cookie: u32) -> Vec<u8> {
    let handshake = Handshake {
        version: 5,
        extension_field: EXT_HSREQ,
        kind: HandshakeKind::Conclusion,
        cookie,
        extensions: Extensions::List(&[Extension::HandshakeRequest(wire::usual_parameters(120))]),
        ..wire::induction(id, SeqNumber::new(7))
    };
    wire::control(0, SocketId::HANDSHAKE, Control::Handshake(handshake))
}

/// A caller's socket ID.
fn caller(id: u8) -> SocketId {
    SocketId::new(u32::from(id) % 8)
}

/// A socket ID of ours.
fn ours(id: u8) -> SocketId {
    SocketId::new(1_000 + u32::from(id) % 16)
}
