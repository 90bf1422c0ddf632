//! One UDP port: who a datagram is for, and the listener's side of the handshake (draft §4.1, §4.3.1).
//!
//! The endpoint demultiplexes by destination socket ID. Where it listens, it answers inductions without keeping anything;
//! a conclusion with a good cookie becomes an [`Incoming`], which waits for [`accept`](Endpoint::accept) or
//! [`reject`](Endpoint::reject). Repeated conclusions are answered as the first one was.

mod cookie;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use self::cookie::CookieJar;
use crate::{
    config::Config,
    connection::{Connection, Transmit, TransmitBatch},
    entropy::Entropy,
    handshake::{
        RejectReason,
        caller::{Agreed, Ends, advertised, establish},
        message::{HANDSHAKE_VERSION, Offer, refuses, rejection},
        negotiate::{self, Role},
    },
    link::Keys,
    packet::{
        Control, ControlPacket, EXT_CONFIG, EXT_HSREQ, EXT_KMREQ, Extension, Extensions, GroupInfo,
        Handshake, HandshakeKind, MAGIC, Packet, destination,
    },
    time::{Instant, Micros},
    types::{SeqNumber, SocketId, Timestamp},
};

/// Answers that wait to be sent; beyond that they are dropped, as a flood deserves.
const ANSWERS_MAX: usize = 256;
/// Rejections remembered, to be repeated when their conclusion is.
const REJECTED_MAX: usize = 1024;
/// How long a rejection is remembered.
const REJECTED_FOR: Micros = Micros::from_secs(5);
/// A caller that has not repeated its conclusion for this long has given up.
const CALLER_GONE: Micros = Micros::from_secs(10);

/// What to do with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// It is for this connection: hand it to [`Connection::handle_datagram`].
    Connection(SocketId),
    /// The endpoint has dealt with it; there may be an answer to send or an [`Incoming`].
    Handled,
    /// It is for nobody here, or wrong; it was counted.
    Dropped,
}

/// A caller that asks for a connection, and proved its address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// The caller's address.
    pub peer: SocketAddr,
    /// The local address it called, where that is known.
    pub local_ip: Option<IpAddr>,
    /// The caller's socket ID.
    pub peer_id: SocketId,
    /// The caller's SRT version: 0x010505 is 1.5.5.
    pub peer_version: u32,
    /// Version of the handshake: 5.
    pub handshake_version: u32,
    /// The StreamID, raw; empty where there is none.
    pub stream_id: Vec<u8>,
    /// The caller wants the connection encrypted.
    pub encrypted: bool,
    /// The group the caller wants the link to belong to.
    pub group: Option<GroupInfo>,
}

/// Why a caller could not be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// What it offers does not go with the options given; it was told.
    #[error("caller rejected: {0}")]
    Rejected(RejectReason),
    /// It gave up waiting, or was decided on already.
    #[error("the caller has given up")]
    Gone,
}

/// On what terms a caller is accepted.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever accepts builds it, and whatever comes to it has to be given"
)]
pub struct LinkTerms {
    /// Time zero of our timestamps: that of the first link, where there are others.
    pub epoch: Instant,
    /// Our group, where the link belongs to one.
    pub group: Option<GroupInfo>,
    /// The latency of the play clock, where that is fixed already.
    pub receiver_latency: Option<Micros>,
}

impl LinkTerms {
    /// The terms of a link that stands alone, and starts now.
    #[must_use]
    pub const fn alone(now: Instant) -> Self {
        Self { epoch: now, group: None, receiver_latency: None }
    }
}

/// A link to a caller that was accepted.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcceptedLink {
    /// What both agreed on.
    pub agreed: Agreed,
    /// When the caller's conclusion came.
    pub arrival: Instant,
    /// Its stamp.
    pub timestamp: Timestamp,
}

/// What an endpoint counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Datagrams shorter than a header, or that are no handshake where one is due.
    pub malformed: u64,
    /// Datagrams for a socket ID nobody has.
    pub unknown_destination: u64,
    /// Datagrams for a connection of ours from an address that is not its peer's.
    pub wrong_source: u64,
    /// Handshakes that came while nobody listens.
    pub not_listening: u64,
    /// Inductions answered.
    pub inductions: u64,
    /// Conclusions with a cookie that is not ours, or too old.
    pub wrong_cookie: u64,
    /// Conclusions rejected before anybody was asked.
    pub rejected: u64,
    /// Conclusions rejected because too many wait.
    pub backlog_full: u64,
    /// Answers dropped because too many wait to be sent.
    pub answers_dropped: u64,
}

impl EndpointStats {
    /// Adds what another endpoint has counted.
    pub const fn add(&mut self, other: &Self) {
        self.malformed += other.malformed;
        self.unknown_destination += other.unknown_destination;
        self.wrong_source += other.wrong_source;
        self.not_listening += other.not_listening;
        self.inductions += other.inductions;
        self.wrong_cookie += other.wrong_cookie;
        self.rejected += other.rejected;
        self.backlog_full += other.backlog_full;
        self.answers_dropped += other.answers_dropped;
    }
}

/// A caller: its address and socket ID.
type CallerKey = (SocketAddr, SocketId);

/// The state of one UDP port.
#[derive(Debug)]
pub struct Endpoint {
    cookies: CookieJar,
    routes: BTreeMap<u32, Entry>,
    listener: Option<Listener>,
    waiting: BTreeMap<CallerKey, Waiting>,
    incoming: VecDeque<Incoming>,
    accepted: BTreeMap<CallerKey, Accepted>,
    rejected: BTreeMap<CallerKey, (RejectReason, Instant)>,
    answers: VecDeque<Answer>,
    stats: EndpointStats,
    entropy: Arc<dyn Entropy>,
}

/// A connection of ours: its peer, and the caller it was accepted from.
#[derive(Debug)]
struct Entry {
    peer: SocketAddr,
    caller: Option<CallerKey>,
}

#[derive(Debug)]
struct Listener {
    config: Config,
    backlog: usize,
}

/// A conclusion that waits for a decision.
#[derive(Debug)]
struct Waiting {
    arrival: Instant,
    seen: Instant,
    timestamp: Timestamp,
    local_ip: Option<IpAddr>,
    request: Request,
    offer: Offer,
}

/// The fixed part of a conclusion.
#[derive(Clone, Copy, Debug)]
struct Request {
    isn: SeqNumber,
    mtu: u32,
    flow_window: u32,
    socket_id: SocketId,
    cookie: u32,
    peer_ip: IpAddr,
}

/// The answer to a conclusion that was accepted, to be repeated.
#[derive(Debug)]
struct Accepted {
    epoch: Instant,
    local_ip: Option<IpAddr>,
    datagram: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    to: SocketAddr,
    from: Option<IpAddr>,
    datagram: Vec<u8>,
}

impl Endpoint {
    /// An endpoint that does not listen. The secret is what makes its cookies hard to guess: 16 random bytes, the same for
    /// all sockets that share a port. Keys of encrypted connections are made of `entropy`.
    #[must_use]
    pub fn new(cookie_secret: [u8; 16], entropy: Arc<dyn Entropy>) -> Self {
        Self {
            cookies: CookieJar::new(cookie_secret),
            routes: BTreeMap::new(),
            listener: None,
            waiting: BTreeMap::new(),
            incoming: VecDeque::new(),
            accepted: BTreeMap::new(),
            rejected: BTreeMap::new(),
            answers: VecDeque::new(),
            stats: EndpointStats {
                malformed: 0,
                unknown_destination: 0,
                wrong_source: 0,
                not_listening: 0,
                inductions: 0,
                wrong_cookie: 0,
                rejected: 0,
                backlog_full: 0,
                answers_dropped: 0,
            },
            entropy,
        }
    }

    /// Listens: callers are checked against `config`, and at most `backlog` of them wait for a decision.
    pub fn listen(&mut self, config: Config, backlog: usize) {
        self.listener = Some(Listener { config, backlog: backlog.max(1) });
    }

    /// Listens no more: those that wait are rejected. Connections go on.
    pub fn stop_listening(&mut self) {
        self.listener = None;
        self.incoming.clear();
        for (key, waiting) in std::mem::take(&mut self.waiting) {
            self.answer_rejection(key.0, waiting.local_ip, &waiting.request, RejectReason::Close);
        }
    }

    /// The options callers are checked against, while it listens.
    #[must_use]
    pub fn listener_config(&self) -> Option<&Config> {
        self.listener.as_ref().map(|listener| &listener.config)
    }

    /// A connection of ours has this ID and peer.
    pub fn register(&mut self, id: SocketId, peer: SocketAddr) {
        self.routes.insert(id.value(), Entry { peer: canonical(peer), caller: None });
    }

    /// A connection is no more.
    pub fn remove(&mut self, id: SocketId) {
        if let Some(Entry { caller: Some(key), .. }) = self.routes.remove(&id.value()) {
            self.accepted.remove(&key);
        }
    }

    /// True where the ID is taken.
    #[must_use]
    pub fn is_taken(&self, id: SocketId) -> bool {
        id.is_handshake() || self.routes.contains_key(&id.value())
    }

    /// How many connections it routes to.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.routes.len()
    }

    /// Takes a datagram that came from `from` to the local address `to`.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: Option<IpAddr>,
        datagram: &[u8],
    ) -> Route {
        let Some(id) = destination(datagram) else {
            self.stats.malformed += 1;
            return Route::Dropped;
        };
        if id.is_handshake() {
            return self.handle_handshake(now, from, to, datagram);
        }
        match self.routes.get(&id.value()) {
            Some(entry) if entry.peer == canonical(from) => Route::Connection(id),
            Some(_) => {
                self.stats.wrong_source += 1;
                Route::Dropped
            }
            None => {
                self.stats.unknown_destination += 1;
                Route::Dropped
            }
        }
    }

    /// The next caller that waits for a decision.
    pub fn poll_incoming(&mut self) -> Option<Incoming> {
        self.incoming.pop_front()
    }

    /// Accepts a caller with the options given: the listener's, or a changed copy of them. `id` is the new socket ID,
    /// which no connection of this endpoint may have.
    ///
    /// The play time counts from the arrival of the conclusion, not from this decision.
    ///
    /// # Errors
    /// [`AcceptError`]: what the caller offers does not go with the options, and it was told so; or it has gone.
    pub fn accept(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        config: Config,
        id: SocketId,
    ) -> Result<Connection, AcceptError> {
        let link = self.accept_link(now, incoming, &config, id, LinkTerms::alone(now))?;
        Ok(Connection::accepted(now, config, link.agreed, link.arrival, link.timestamp))
    }

    /// Accepts a caller as a link of something that has others: a group. What it joins fixes the terms.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn accept_link(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        config: &Config,
        id: SocketId,
        terms: LinkTerms,
    ) -> Result<AcceptedLink, AcceptError> {
        let key = (incoming.peer, incoming.peer_id);
        let waiting = self.take_waiting(key).ok_or(AcceptError::Gone)?;
        let request = &waiting.request;
        let agreed = waiting.offer.parameters.ok_or(RejectReason::Rogue).and_then(|parameters| {
            let congestion = waiting.offer.congestion.as_deref();
            negotiate::agree(config, Role::Responder, &request.handshake(), &parameters, congestion)
        });
        let agreed = agreed.and_then(|mut agreed| {
            // One play clock serves all links.
            if let Some((ours, _)) = agreed.receiver_latency.as_mut().zip(terms.receiver_latency) {
                *ours = terms.receiver_latency.unwrap_or(*ours);
            }
            let (request, version) = (waiting.offer.key_request.as_deref(), agreed.peer_version);
            Ok((agreed, Keys::responder(config, request, version, &self.entropy)?))
        });
        let (agreed, (keys, key_answer)) = match agreed {
            Ok(agreed) => agreed,
            Err(reason) => {
                self.stats.rejected += 1;
                self.answer_rejection(key.0, waiting.local_ip, request, reason);
                self.remember_rejection(now, key, reason);
                return Err(AcceptError::Rejected(reason));
            }
        };
        let mut blocks = vec![Extension::HandshakeResponse(negotiate::answer(config, &agreed))];
        let mut extension_field = EXT_HSREQ;
        if let Some(group) = terms.group {
            blocks.push(Extension::Group(group));
            extension_field |= EXT_CONFIG;
        }
        if let Some(answer) = &key_answer {
            blocks.push(Extension::KeyMaterialResponse(answer));
            extension_field |= EXT_KMREQ;
        }
        let response = Handshake {
            version: HANDSHAKE_VERSION,
            encryption: advertised(config),
            extension_field,
            isn: request.isn,
            mtu: agreed.mss,
            flow_window: negotiate::flow_window(config),
            kind: HandshakeKind::Conclusion,
            socket_id: id,
            cookie: request.cookie,
            peer_ip: incoming.peer.ip(),
            extensions: Extensions::List(&blocks),
        };
        let mut datagram = Vec::new();
        write(Timestamp::new(0), request.socket_id, response, &mut datagram);
        self.accepted.insert(key, Accepted { epoch: terms.epoch, local_ip: waiting.local_ip, datagram });
        self.answer_accepted(now, key);
        self.routes.insert(id.value(), Entry { peer: canonical(incoming.peer), caller: Some(key) });
        let ends = Ends {
            local_id: id,
            peer_id: request.socket_id,
            peer: incoming.peer,
            local_ip: waiting.local_ip,
            epoch: terms.epoch,
            send_isn: request.isn,
            receive_isn: request.isn,
            first_rtt: None,
            our_ip: request.peer_ip,
            stream_id: waiting.offer.stream_id,
            group: waiting.offer.group,
        };
        let agreed = establish(config, &agreed, keys, ends);
        Ok(AcceptedLink { agreed, arrival: waiting.arrival, timestamp: waiting.timestamp })
    }

    /// Rejects a caller, and tells it why.
    pub fn reject(&mut self, now: Instant, incoming: &Incoming, reason: RejectReason) {
        let key = (incoming.peer, incoming.peer_id);
        if let Some(waiting) = self.take_waiting(key) {
            self.remember_rejection(now, key, reason);
            self.answer_rejection(key.0, waiting.local_ip, &waiting.request, reason);
        }
    }

    /// Fills `batch` (cleared first) with the next answer; `None` where there is none. Call until then.
    pub fn poll_transmit(&mut self, batch: &mut TransmitBatch) -> Option<Transmit> {
        batch.clear();
        let answer = self.answers.pop_front()?;
        batch.buffer().extend_from_slice(&answer.datagram);
        batch.end_datagram();
        batch.transmit(answer.to, answer.from)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.values().map(|waiting| waiting.seen + CALLER_GONE).min();
        let rejected = self.rejected.values().map(|rejected| rejected.1).min();
        match (waiting, rejected) {
            (Some(waiting), Some(rejected)) => Some(waiting.min(rejected)),
            (waiting, rejected) => waiting.or(rejected),
        }
    }

    /// Forgets callers that have given up, and old rejections.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.waiting.retain(|_, waiting| waiting.seen + CALLER_GONE > now);
        self.rejected.retain(|_, rejected| rejected.1 > now);
        let waiting = &self.waiting;
        self.incoming.retain(|incoming| waiting.contains_key(&(incoming.peer, incoming.peer_id)));
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &EndpointStats {
        &self.stats
    }

    // ---- steps -------------------------------------------------------------------------------------------------

    /// A caller is decided on: it waits no more, nor is anybody asked about it again.
    fn take_waiting(&mut self, key: CallerKey) -> Option<Waiting> {
        let waiting = self.waiting.remove(&key)?;
        self.incoming.retain(|incoming| (incoming.peer, incoming.peer_id) != key);
        Some(waiting)
    }

    fn handle_handshake(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: Option<IpAddr>,
        datagram: &[u8],
    ) -> Route {
        let Ok(Packet::Control(ControlPacket { timestamp, control: Control::Handshake(handshake), .. })) =
            Packet::parse(datagram)
        else {
            self.stats.malformed += 1;
            return Route::Dropped;
        };
        match handshake.kind {
            HandshakeKind::Induction if self.listener.is_some() => {
                self.stats.inductions += 1;
                let encryption = self.listener_config().map_or(0, advertised);
                let answer = Handshake {
                    version: HANDSHAKE_VERSION,
                    encryption,
                    extension_field: MAGIC,
                    cookie: self.cookies.bake(now, from),
                    extensions: Extensions::List(&[]),
                    ..handshake
                };
                self.push_answer(from, to, handshake.socket_id, answer);
                Route::Handled
            }
            HandshakeKind::Conclusion => self.handle_conclusion(now, from, to, timestamp, &handshake),
            HandshakeKind::Induction => {
                self.stats.not_listening += 1;
                Route::Dropped
            }
            _ => {
                self.stats.malformed += 1;
                Route::Dropped
            }
        }
    }

    fn handle_conclusion(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: Option<IpAddr>,
        timestamp: Timestamp,
        handshake: &Handshake<'_>,
    ) -> Route {
        if !self.cookies.check(now, from, handshake.cookie) {
            self.stats.wrong_cookie += 1;
            return Route::Dropped;
        }
        let key = (from, handshake.socket_id);
        if self.accepted.contains_key(&key) {
            self.answer_accepted(now, key);
            return Route::Handled;
        }
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.seen = now;
            return Route::Handled;
        }
        let request = Request::of(handshake);
        if let Some(&(reason, _)) = self.rejected.get(&key) {
            self.answer_rejection(from, to, &request, reason);
            return Route::Handled;
        }
        let Some(listener) = &self.listener else {
            self.stats.not_listening += 1;
            return Route::Dropped;
        };
        let offer = match check(&listener.config, handshake) {
            Ok(offer) => offer,
            Err(reason) => {
                self.stats.rejected += 1;
                self.answer_rejection(from, to, &request, reason);
                return Route::Handled;
            }
        };
        if self.waiting.len() >= listener.backlog {
            self.stats.backlog_full += 1;
            self.answer_rejection(from, to, &request, RejectReason::Backlog);
            return Route::Handled;
        }
        self.incoming.push_back(Incoming {
            peer: from,
            local_ip: to,
            peer_id: handshake.socket_id,
            peer_version: offer.parameters.map_or(0, |parameters| parameters.version),
            handshake_version: handshake.version,
            stream_id: offer.stream_id.clone(),
            encrypted: offer.key_request.is_some(),
            group: offer.group,
        });
        self.waiting
            .insert(key, Waiting { arrival: now, seen: now, timestamp, local_ip: to, request, offer });
        Route::Handled
    }

    fn answer_accepted(&mut self, now: Instant, key: CallerKey) {
        let Some(accepted) = self.accepted.get(&key) else { return };
        let mut datagram = accepted.datagram.clone();
        let timestamp = Timestamp::from_elapsed(now.saturating_since(accepted.epoch));
        if let Some(field) = datagram.get_mut(8..12) {
            field.copy_from_slice(&timestamp.value().to_be_bytes());
        }
        let answer = Answer { to: key.0, from: accepted.local_ip, datagram };
        self.queue(answer);
    }

    /// Notes what a repetition of the conclusion is answered with.
    fn remember_rejection(&mut self, now: Instant, key: CallerKey, reason: RejectReason) {
        if self.rejected.len() < REJECTED_MAX {
            self.rejected.insert(key, (reason, now + REJECTED_FOR));
        }
    }

    fn answer_rejection(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        request: &Request,
        reason: RejectReason,
    ) {
        self.push_answer(to, from, request.socket_id, rejection(&request.handshake(), reason));
    }

    fn push_answer(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        peer_id: SocketId,
        handshake: Handshake<'_>,
    ) {
        let mut datagram = Vec::new();
        write(Timestamp::new(0), peer_id, handshake, &mut datagram);
        self.queue(Answer { to, from, datagram });
    }

    fn queue(&mut self, answer: Answer) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push_back(answer);
        } else {
            self.stats.answers_dropped += 1;
        }
    }
}

impl Request {
    const fn of(handshake: &Handshake<'_>) -> Self {
        Self {
            isn: handshake.isn,
            mtu: handshake.mtu,
            flow_window: handshake.flow_window,
            socket_id: handshake.socket_id,
            cookie: handshake.cookie,
            peer_ip: handshake.peer_ip,
        }
    }

    const fn handshake(&self) -> Handshake<'static> {
        Handshake {
            version: HANDSHAKE_VERSION,
            encryption: 0,
            extension_field: 0,
            isn: self.isn,
            mtu: self.mtu,
            flow_window: self.flow_window,
            kind: HandshakeKind::Conclusion,
            socket_id: self.socket_id,
            cookie: self.cookie,
            peer_ip: self.peer_ip,
            extensions: Extensions::List(&[]),
        }
    }
}

/// Checks a conclusion against the listener's options before anybody is asked.
fn check(config: &Config, handshake: &Handshake<'_>) -> Result<Offer, RejectReason> {
    if handshake.version != HANDSHAKE_VERSION {
        return Err(RejectReason::Version); // HSv4 is a matter of libsrt below 1.3
    }
    if handshake.extension_field & EXT_HSREQ == 0 || handshake.socket_id.is_handshake() {
        return Err(RejectReason::Rogue);
    }
    let offer = Offer::read(&handshake.extensions, true)?;
    let parameters = offer.parameters.ok_or(RejectReason::Rogue)?;
    if let Some(reason) = refuses(&offer) {
        return Err(reason);
    }
    if offer.group.is_some_and(|group| !config.group_connect() || !group.is_valid()) {
        return Err(RejectReason::Group);
    }
    negotiate::agree(config, Role::Responder, handshake, &parameters, offer.congestion.as_deref())?;
    Ok(offer)
}

fn write(timestamp: Timestamp, destination: SocketId, handshake: Handshake<'_>, out: &mut Vec<u8>) {
    ControlPacket { timestamp, destination, control: Control::Handshake(handshake) }.write(out);
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
