//! A node: an endpoint, its connections and their applications, driven as the contract of the core says.

use super::app::{Playing, Reader, Source, fill_payload};
use super::clock::Clock;
use super::net::Net;
use super::random::{Random, Seeded, digest, mix};
use super::trace::{DroppedRange, Peaks, ReceivedMessage, Record, SentMessage};
use srt_protocol::config::Config;
use srt_protocol::connection::{
    CallerSetup, Connection, Event, RecvError, SendError, State, Transmit, TransmitBatch,
};
use srt_protocol::endpoint::{Endpoint, Incoming, Route};
use srt_protocol::entropy::Entropy;
use srt_protocol::handshake::RejectReason;
use srt_protocol::stats::Stats;
use srt_protocol::stream::Message;
use srt_protocol::time::{Instant, Micros};
use srt_protocol::types::{SeqNumber, SocketId};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a listener's application does about a caller.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Admission {
    /// Takes it at once.
    #[default]
    Accept,
    /// Thinks about it for so long.
    AcceptAfter(Micros),
    /// Takes it, with other options than the listener's.
    AcceptWith(Box<Config>),
    /// Refuses it.
    Reject(RejectReason),
    /// Never decides.
    Ignore,
}

/// How an application ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leave {
    /// In order, so long after its source has run dry (without a source: after connecting).
    CloseAfter(Micros),
    /// By abort, so long after connecting.
    AbortAfter(Micros),
    /// It waits for the other end to leave.
    Stay,
}

/// One side of the world.
#[derive(Clone, Debug)]
pub struct Party {
    pub(crate) config: Config,
    pub(crate) source: Option<Source>,
    pub(crate) reader: Reader,
    pub(crate) start: Option<Instant>,
    pub(crate) ppm: i32,
    pub(crate) admission: Admission,
    pub(crate) backlog: usize,
    pub(crate) leave: Option<Leave>,
}

impl Party {
    pub(crate) const fn new(config: Config) -> Self {
        Self {
            config,
            source: None,
            reader: Reader::Prompt,
            start: None,
            ppm: 0,
            admission: Admission::Accept,
            backlog: 16,
            leave: None,
        }
    }

    /// Sends this once connected.
    #[must_use]
    pub fn offers(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Reads like this. Default: promptly.
    #[must_use]
    pub const fn reads(mut self, reader: Reader) -> Self {
        self.reader = reader;
        self
    }

    /// Its clock shows this when the world begins. Default: something from the seed.
    #[must_use]
    pub const fn clock_starts_at(mut self, start: Instant) -> Self {
        self.start = Some(start);
        self
    }

    /// Its clock gains so many µs in each second. Default: 0.
    #[must_use]
    pub const fn drifts_ppm(mut self, ppm: i32) -> Self {
        self.ppm = ppm;
        self
    }

    /// Decides like this about callers. Default: takes all at once.
    #[must_use]
    pub fn admits(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Callers that may wait for a decision. Default: 16.
    #[must_use]
    pub const fn backlog(mut self, backlog: usize) -> Self {
        self.backlog = backlog;
        self
    }

    /// Leaves like this. Default: the caller in order when all sources have run dry, the listener not at all.
    #[must_use]
    pub const fn leaves(mut self, leave: Leave) -> Self {
        self.leave = Some(leave);
        self
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) clock: Clock,
    pub(crate) endpoint: Endpoint,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) incoming: u64,
    pub(crate) incoming_peak: usize,
    pub(crate) faults: Vec<String>,
    pub(crate) wake: Option<u64>,
    pub(crate) wake_round: u64,
    party: Party,
    waiting: Vec<(Instant, Incoming)>,
    ids: Random,
    entropy: Arc<dyn Entropy>,
    seed: u64,
    batch: TransmitBatch,
    sampled_us: u64,
}

impl Node {
    pub(crate) fn new(seed: u64, index: usize, party: Party) -> Self {
        let mut ids = Random::new(seed, &format!("node {index}"));
        let mut secret = [0; 16];
        ids.fill(&mut secret);
        let uptime = Instant::from_micros(ids.bits() >> 16); // up to nine years
        let start = party.start.unwrap_or(uptime);
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(seed, index));
        let segments = if ids.word() & 1 == 0 { 64 } else { 1 };
        Self {
            index,
            clock: Clock::new(start, party.ppm),
            endpoint: Endpoint::new(secret, Arc::clone(&entropy)),
            entropy,
            sockets: Vec::new(),
            incoming: 0,
            incoming_peak: 0,
            faults: Vec::new(),
            wake: None,
            wake_round: 0,
            party,
            waiting: Vec::new(),
            ids,
            seed,
            batch: TransmitBatch::new(segments),
            sampled_us: 0,
        }
    }

    pub(crate) fn listen(&mut self) {
        self.endpoint.listen(self.party.config.clone(), self.party.backlog);
    }

    pub(crate) fn call(&mut self, world_us: u64, peer: SocketAddr, isn: Option<SeqNumber>) {
        let now = self.clock.local(world_us);
        let id = self.free_id();
        let random = SeqNumber::new(self.ids.word());
        let config = self.party.config.clone();
        let (isn, entropy) = (isn.unwrap_or(random), Arc::clone(&self.entropy));
        let setup = CallerSetup { config, peer, local_ip: None, id, isn, entropy };
        let connection = Connection::connect(now, setup);
        self.endpoint.register(id, peer);
        let name = format!("caller {}", self.index - 1);
        self.adopt(connection, name);
    }

    fn free_id(&mut self) -> SocketId {
        loop {
            let id = SocketId::new(self.ids.word() & 0x3FFF_FFFF);
            if !self.endpoint.is_taken(id) {
                return id;
            }
        }
    }

    fn adopt(&mut self, connection: Connection, name: String) {
        let key = mix(self.seed, digest(name.as_bytes()));
        let random = Random::new(self.seed, &format!("{name}'s source"));
        let record = Record {
            name,
            peer: connection.peer(),
            config: connection.config().clone(),
            clock: self.clock,
            sent: Vec::new(),
            received: Vec::new(),
            dropped: Vec::new(),
            connected_us: None,
            close_called_us: None,
            aborted_us: None,
            closed: None,
            negotiated: None,
            events: Vec::new(),
            full: 0,
            skipped: 0,
            missing: 0,
            send_dropped: 0,
            peaks: Peaks::default(),
            state: None,
            stats: Stats::default(),
            faults: Vec::new(),
        };
        self.sockets.push(Socket {
            registered: true,
            touched: true,
            due: None,
            source: self.party.source.clone().map(|source| source.play(random)),
            pending: None,
            offered: 0,
            blocked: false,
            reader: self.party.reader,
            next_look: None,
            leave: self.party.leave.unwrap_or(Leave::Stay),
            leave_at: None,
            connected_at: None,
            key,
            payload: Vec::new(),
            connection,
            record,
        });
    }

    pub(crate) fn arrive(&mut self, world_us: u64, from: SocketAddr, datagram: &[u8]) {
        let now = self.clock.local(world_us);
        if let Route::Connection(id) = self.endpoint.handle_datagram(now, from, None, datagram) {
            match self.sockets.iter_mut().find(|socket| socket.connection.id() == id) {
                Some(socket) => {
                    socket.connection.handle_datagram(now, datagram);
                    socket.touched = true;
                }
                None => self.faults.push(format!("a datagram was routed to {id}, which nobody has")),
            }
        }
    }

    /// Does all that can be done now.
    pub(crate) fn run(&mut self, world_us: u64, net: &mut Net) {
        let now = self.clock.local(world_us);
        for round in 0.. {
            if self.endpoint.next_timeout().is_some_and(|at| at <= now) {
                self.endpoint.handle_timeout(now);
            }
            self.admit(now);
            for socket in self.sockets.iter_mut().filter(|socket| socket.wants(now)) {
                socket.touched = true;
                socket.run(now, world_us);
            }
            self.transmit(now, world_us, net);
            for socket in self.sockets.iter_mut().filter(|socket| socket.touched) {
                socket.listen_to_events(now, world_us);
                socket.touched = false;
                socket.due = socket.deadline();
            }
            if self.deadline().is_none_or(|at| at > now) {
                break;
            }
            if round >= ROUNDS_MAX {
                let culprits: Vec<_> = self.sockets.iter().map(|socket| socket.deadline_text()).collect();
                let culprits = culprits.join("; ");
                self.faults.push(format!("at {world_us} µs node {} finds no rest: {culprits}", self.index));
                break;
            }
        }
        if world_us >= self.sampled_us {
            self.sampled_us = world_us + SAMPLE_EVERY_US;
            self.sockets.iter_mut().for_each(|socket| socket.sample(now));
        }
        for socket in &mut self.sockets {
            if socket.registered && socket.is_over() {
                socket.registered = false;
                self.endpoint.remove(socket.connection.id());
            }
        }
    }

    /// When to be run again: world time.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        self.deadline().map(|at| self.clock.world(at))
    }

    fn deadline(&self) -> Option<Instant> {
        let decisions = self.waiting.iter().map(|(at, _)| *at);
        let sockets = self.sockets.iter().filter_map(|socket| socket.due);
        self.endpoint.next_timeout().into_iter().chain(decisions).chain(sockets).min()
    }

    fn admit(&mut self, now: Instant) {
        while let Some(incoming) = self.endpoint.poll_incoming() {
            self.incoming += 1;
            match &self.party.admission {
                Admission::Ignore => {}
                Admission::AcceptAfter(delay) => self.waiting.push((now + *delay, incoming)),
                _ => self.waiting.push((now, incoming)),
            }
        }
        self.incoming_peak = self.incoming_peak.max(self.waiting.len());
        while let Some(first) = self.waiting.iter().position(|(at, _)| *at <= now) {
            let (_, incoming) = self.waiting.remove(first);
            let config = match &self.party.admission {
                Admission::Reject(reason) => {
                    self.endpoint.reject(now, &incoming, *reason);
                    continue;
                }
                Admission::AcceptWith(config) => Config::clone(config),
                _ => self.party.config.clone(),
            };
            let id = self.free_id();
            if let Ok(connection) = self.endpoint.accept(now, &incoming, config, id) {
                let name = format!("accepted {}", self.sockets.len());
                self.adopt(connection, name);
            }
        }
    }

    fn transmit(&mut self, now: Instant, world_us: u64, net: &mut Net) {
        let Self { endpoint, sockets, batch, index, faults, .. } = self;
        for _ in 0..TRANSMITS_MAX {
            let Some(transmit) = endpoint.poll_transmit(batch) else { break };
            send_all(&transmit, batch, faults, |datagram| net.send(world_us, *index, transmit.to, datagram));
        }
        for socket in sockets.iter_mut().filter(|socket| socket.touched) {
            let mut left = TRANSMITS_MAX;
            while let Some(transmit) = socket.connection.poll_transmit(now, batch) {
                let faults = &mut socket.record.faults;
                send_all(&transmit, batch, faults, |datagram| {
                    net.send(world_us, *index, transmit.to, datagram)
                });
                left -= 1;
                if left == 0 {
                    faults.push(format!("at {world_us} µs there is no end to poll_transmit"));
                    break;
                }
            }
        }
    }
}

/// Splits a batch as the kernel would.
fn send_all(
    transmit: &Transmit,
    batch: &TransmitBatch,
    faults: &mut Vec<String>,
    mut send: impl FnMut(&[u8]),
) {
    let bytes = batch.bytes();
    if transmit.len != bytes.len() || transmit.segment_size == 0 || transmit.segment_size > transmit.len {
        faults.push(format!("a batch of {} bytes is announced as {transmit:?}", bytes.len()));
        return;
    }
    if bytes.len() > 65_507 || bytes.len().div_ceil(transmit.segment_size) > 64 {
        faults.push(format!("a batch no kernel takes: {transmit:?}"));
    }
    bytes.chunks(transmit.segment_size).for_each(&mut send);
}

/// A connection and its application.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) connection: Connection,
    pub(crate) record: Record,
    registered: bool,
    /// Something came in since it was last run.
    touched: bool,
    /// Its deadline when it was last run.
    due: Option<Instant>,
    source: Option<Playing>,
    /// The message to send next, and when.
    pending: Option<(Instant, usize)>,
    /// Messages offered so far, also those for which there was no room.
    offered: u64,
    /// The last `send` found the buffer full.
    blocked: bool,
    reader: Reader,
    next_look: Option<Instant>,
    leave: Leave,
    leave_at: Option<Instant>,
    connected_at: Option<Instant>,
    key: u64,
    payload: Vec<u8>,
}

impl Socket {
    /// Whether nothing will come of it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.state() == State::Closed
    }

    fn wants(&self, now: Instant) -> bool {
        self.touched || self.due.is_some_and(|at| at <= now)
    }

    /// When its application or the core wants something.
    fn deadline(&self) -> Option<Instant> {
        let core = self.connection.next_timeout().map(|deadline| deadline.at);
        let read = match self.reader {
            _ if self.is_over() => None,
            Reader::Prompt => self.connection.next_delivery(),
            Reader::Slow { .. } => self.next_look,
            Reader::Never => None,
        };
        let send = self.pending.filter(|_| !self.blocked).map(|(at, _)| at);
        [core, read, send, self.leave_at].into_iter().flatten().min()
    }

    fn deadline_text(&self) -> String {
        format!(
            "{}: timeout {:?}, delivery {:?}, application {:?}, leaves {:?}, {:?}",
            self.record.name,
            self.connection.next_timeout(),
            self.connection.next_delivery(),
            self.pending,
            self.leave_at,
            self.connection.state()
        )
    }

    fn run(&mut self, now: Instant, world_us: u64) {
        if self.connection.next_timeout().is_some_and(|deadline| deadline.at <= now) {
            self.connection.handle_timeout(now);
        }
        self.listen_to_events(now, world_us);
        self.read(now, world_us);
        self.write(now, world_us);
        self.depart(now, world_us);
        self.listen_to_events(now, world_us);
    }

    fn listen_to_events(&mut self, now: Instant, world_us: u64) {
        while let Some(event) = self.connection.poll_event() {
            self.record.events.push((world_us, format!("{event:?}")));
            match event {
                Event::Connected => self.on_connected(now, world_us),
                Event::Skipped(skipped) => {
                    let (first, last) = (skipped.first, skipped.last);
                    self.record.missing += u64::from(skipped.missing);
                    self.record.dropped.push(DroppedRange { first, last, at_us: world_us });
                }
                Event::SendDropped(packets) => self.record.send_dropped += packets as u64,
                Event::PeerGone(_) => {
                    (self.pending, self.source) = (None, None);
                    if self.reader == Reader::Never {
                        self.leave_at = Some(now); // nobody will drain it
                        self.leave = Leave::CloseAfter(Micros::ZERO);
                    }
                }
                Event::Closed(reason) => {
                    if let Some((_, before)) = self.record.closed {
                        self.record.faults.push(format!("closed twice: {before:?}, then {reason:?}"));
                    }
                    self.record.closed = Some((world_us, reason));
                    (self.pending, self.source, self.leave_at) = (None, None, None);
                }
                _ => {}
            }
        }
    }

    fn on_connected(&mut self, now: Instant, world_us: u64) {
        if self.record.connected_us.is_some() {
            self.record.faults.push("connected twice".to_owned());
            return;
        }
        self.record.connected_us = Some(world_us);
        self.record.negotiated = self.connection.negotiated().cloned();
        self.connected_at = Some(now);
        self.pull(now);
        if let Reader::Slow { every, .. } = self.reader {
            self.next_look = Some(now + every);
        }
        if let Leave::AbortAfter(delay) = self.leave {
            self.leave_at = Some(now + delay);
        }
    }

    /// Takes the next message from the source; when there is none, the time to leave can be told.
    fn pull(&mut self, now: Instant) {
        let Some(start) = self.connected_at else { return };
        self.pending = self.source.as_mut().and_then(Playing::next).map(|(after, len)| (start + after, len));
        if self.pending.is_none()
            && let Leave::CloseAfter(delay) = self.leave
        {
            self.leave_at = Some(now + delay);
        }
    }

    fn write(&mut self, now: Instant, world_us: u64) {
        self.blocked = false;
        while let Some((at, len)) = self.pending {
            if at > now {
                return;
            }
            fill_payload(self.key, self.offered, len, &mut self.payload);
            let space = self.connection.send_space();
            let mut message = Message::new(&self.payload);
            message.ttl = self.source.as_ref().and_then(Playing::ttl);
            match self.connection.send(now, message) {
                Ok(sent) => {
                    if space == 0 {
                        self.record
                            .faults
                            .push(format!("at {world_us} µs send took more than send_space said"));
                    }
                    self.record.sent.push(SentMessage {
                        seq: sent.seq,
                        msgno: sent.msgno,
                        len,
                        digest: digest(&self.payload),
                        at_us: world_us,
                        at: now,
                        source_time: sent.source_time,
                    });
                }
                Err(SendError::Full) => {
                    if space > 0 {
                        self.record
                            .faults
                            .push(format!("at {world_us} µs send is full with room for {space}"));
                    }
                    self.record.full += 1;
                    if self.source.as_ref().is_some_and(Playing::waits) {
                        self.blocked = true;
                        return;
                    }
                    self.record.skipped += 1;
                }
                Err(SendError::Closed(_)) => {
                    (self.pending, self.source) = (None, None);
                    return;
                }
                Err(error) => {
                    self.record.faults.push(format!("at {world_us} µs send of {len} bytes: {error}"));
                }
            }
            self.offered += 1;
            self.pull(now);
        }
    }

    fn read(&mut self, now: Instant, world_us: u64) {
        let mut at_most = usize::MAX;
        match self.reader {
            Reader::Prompt => {}
            Reader::Never => return,
            Reader::Slow { every, at_most: limit } => {
                if self.next_look.is_none_or(|at| at > now) {
                    return;
                }
                self.next_look = Some(now + every);
                at_most = limit;
            }
        }
        while at_most > 0 {
            let due = self.connection.next_delivery().is_some_and(|at| at <= now);
            self.payload.clear();
            match self.connection.recv(now, &mut self.payload) {
                Ok(received) => {
                    at_most -= 1;
                    if received.len != self.payload.len() {
                        let got = self.payload.len();
                        self.record.faults.push(format!("{} bytes are announced, {got} came", received.len));
                    }
                    if !due {
                        self.record
                            .faults
                            .push(format!("at {world_us} µs %{} came unannounced", received.seq));
                    }
                    self.record.received.push(ReceivedMessage {
                        seq: received.seq,
                        msgno: received.msgno,
                        len: self.payload.len(),
                        digest: digest(&self.payload),
                        at_us: world_us,
                        at: now,
                        play_time: received.play_time,
                        play_us: self.record.clock.world(received.play_time),
                        source_time: received.source_time,
                    });
                }
                Err(RecvError::Empty) => {
                    let again = self.connection.next_delivery();
                    if due && again.is_some_and(|at| at <= now) {
                        self.record
                            .faults
                            .push(format!("at {world_us} µs a message is due and does not come"));
                    }
                    break;
                }
                Err(RecvError::Closed(_)) => {
                    self.next_look = None;
                    break;
                }
                Err(_) => break,
            }
        }
    }

    fn depart(&mut self, now: Instant, world_us: u64) {
        if self.leave_at.is_none_or(|at| at > now) {
            return;
        }
        self.leave_at = None;
        if matches!(self.leave, Leave::AbortAfter(_)) {
            self.record.aborted_us = Some(world_us);
            self.connection.abort(now);
        } else {
            self.record.close_called_us = Some(world_us);
            self.connection.close(now);
        }
    }

    fn sample(&mut self, now: Instant) {
        let stats = self.connection.stats_instantaneous(now, false);
        let peaks = &mut self.record.peaks;
        peaks.send_packets = peaks.send_packets.max(stats.pkt_snd_buf);
        peaks.receive_packets = peaks.receive_packets.max(stats.pkt_rcv_buf);
        peaks.flight_packets = peaks.flight_packets.max(stats.pkt_flight_size);
        peaks.payload_memory = peaks.payload_memory.max(self.connection.memory());
    }

    pub(crate) fn finish(mut self, now: Instant) -> Record {
        self.record.stats = self.connection.stats_instantaneous(now, false);
        self.record.state = Some(self.connection.state());
        self.record
    }
}

const ROUNDS_MAX: u32 = 200;
const TRANSMITS_MAX: u32 = 100_000;
const SAMPLE_EVERY_US: u64 = 20_000;
