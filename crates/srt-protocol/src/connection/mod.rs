//! A stream over one link: bytes and commands go in with the time, bytes, events and deadlines come out.
//!
//! [`Connection`] owns the two buffers of the stream and the link that carries them, and routes: a packet to the room that
//! understands it ([`input`](self)), and what leaves first, and why ([`output`](self)). It holds no socket, thread or clock;
//! its owner calls
//!
//! - [`handle_datagram`](Connection::handle_datagram) with each datagram that came for its socket ID,
//! - [`handle_timeout`](Connection::handle_timeout) when [`next_timeout`](Connection::next_timeout) has come,
//! - then [`poll_transmit`](Connection::poll_transmit) and [`poll_event`](Connection::poll_event) until `None`, and
//!   [`recv`](Connection::recv) when [`next_delivery`](Connection::next_delivery) has come,
//!
//! in any order and as often as it likes.

mod error;
mod event;
mod input;
mod output;
mod transmit;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub use self::{
    error::{ConnectionError, RecvError, SendError},
    event::{Event, Negotiated},
    transmit::{Transmit, TransmitBatch},
};
use crate::{
    config::{Config, ConfigError, OptionValue, SocketOption, Stage},
    congestion::LiveRate,
    ending::{GOODBYES, OrderlyEnd, broken_until, last_way, too_late_after},
    entropy::Entropy,
    events::Events,
    handshake::{
        RejectReason,
        caller::{Agreed, Call, Caller, Outcome},
    },
    link::{Deadline, Link, LinkCounters, Timer},
    packet::Handshake,
    stats::{Averages, Interval, Snapshot, Stats, Whole},
    stream::{Message, PushError, ReceiveBuffer, Received, SendBuffer, Sent},
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

/// Events kept; when nobody polls, the oldest of those that only inform are forgotten.
const EVENTS_MAX: usize = 256;

/// What a caller starts with.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the caller builds it, and whatever comes to it has to be given"
)]
pub struct CallerSetup {
    /// Options.
    pub config: Config,
    /// Where the listener is.
    pub peer: SocketAddr,
    /// The local address to send from, where it matters.
    pub local_ip: Option<IpAddr>,
    /// Our socket ID: any number but 0 that is unique on the UDP port.
    pub id: SocketId,
    /// The first sequence number: random, so that nobody can guess it.
    pub isn: SeqNumber,
    /// What keys are made of, where the connection is encrypted.
    pub entropy: Arc<dyn Entropy>,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// The handshake is under way.
    Connecting,
    /// Both directions are open.
    Connected,
    /// We are ending it in order: what was taken for sending still goes.
    Closing,
    /// The peer is gone; what was received is still handed out.
    Broken,
    /// It has ended.
    Closed,
}

/// A stream over one link. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    id: SocketId,
    peer: SocketAddr,
    local_ip: Option<IpAddr>,
    phase: Phase,
    events: Events<Event>,
    unconfirmed: u64,
    interval: Interval,
    /// The figures of the last moment, once it has ended.
    last: Snapshot,
}

/// Each phase owns what exists only then.
#[derive(Debug)]
enum Phase {
    Connecting(Box<Caller>),
    /// The listener believes in a connection that we do not want; it is to be told.
    Declining(SocketId, RejectReason),
    Established(Box<Established>),
    Closed(ConnectionError),
}

/// A link is up, and carries the stream.
#[derive(Debug)]
struct Established {
    negotiated: Negotiated,
    link: Link,
    send: SendBuffer,
    receive: ReceiveBuffer,
    /// A payload while it is decrypted.
    plain: Vec<u8>,
    rate: LiveRate,
    /// The first packet not yet sent.
    next_new: SeqNumber,
    /// When a packet left for the first time last.
    last_new_at: Instant,
    /// When the peer acknowledged something last.
    last_progress_at: Instant,
    end: End,
    averages: Averages,
    /// Since when there is something to send or to be acknowledged.
    busy_since: Option<Instant>,
    busy_us: u64,
}

/// How the end goes, once it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// We close in order, asked for at this time.
    Closing(Instant),
    /// This many SHUTDOWNs remain to be sent.
    Goodbye {
        left: u8,
    },
    /// The peer is gone.
    Broken(ConnectionError),
}

impl Connection {
    /// Starts to call.
    #[must_use]
    pub fn connect(now: Instant, setup: CallerSetup) -> Self {
        let CallerSetup { config, peer, local_ip, id, isn, entropy } = setup;
        let call = Call { id, isn, peer, local_ip, epoch: now, group: None, entropy };
        Self {
            phase: Phase::Connecting(Box::new(Caller::new(now, call))),
            config,
            id,
            peer,
            local_ip,
            events: Events::new(EVENTS_MAX, Event::informs),
            unconfirmed: 0,
            interval: Interval::default(),
            last: Snapshot::default(),
        }
    }

    /// A connection that a listener accepted. `arrival` and `timestamp` are those of the conclusion.
    pub(crate) fn accepted(
        now: Instant,
        config: Config,
        agreed: Agreed,
        arrival: Instant,
        timestamp: Timestamp,
    ) -> Self {
        let mut connection = Self {
            id: agreed.link.local_id,
            peer: agreed.link.peer,
            local_ip: agreed.link.local_ip,
            phase: Phase::Closed(ConnectionError::Closed),
            config,
            events: Events::new(EVENTS_MAX, Event::informs),
            unconfirmed: 0,
            interval: Interval::default(),
            last: Snapshot::default(),
        };
        connection.establish(now, agreed, arrival, timestamp);
        connection
    }

    // ---- in ----------------------------------------------------------------------------------------------------

    /// Takes a datagram from the peer. Whatever is wrong with it is counted, and the datagram forgotten.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        input::handle(self, now, datagram);
    }

    /// Does what time asks for. May be called at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Connecting(caller) => {
                if now >= caller.gives_up_at(&self.config) {
                    self.end(now, ConnectionError::Timeout);
                }
            }
            Phase::Established(established) => {
                if matches!(established.end, End::NotYet | End::Closing(_)) && established.link.is_idle(now) {
                    self.peer_is_gone(now, ConnectionError::PeerIdle);
                    return;
                }
                if established.link.rests(now) {
                    established.send.trim();
                    established.receive.trim();
                }
                let dropped = established.give_up_late(now, &self.config);
                self.on_dropped(dropped);
                self.go_on_ending(now);
            }
            Phase::Declining(..) | Phase::Closed(_) => {}
        }
    }

    // ---- commands ----------------------------------------------------------------------------------------------

    /// Takes a message for sending: numbers, stamps and keeps it.
    ///
    /// # Errors
    /// [`SendError`]; nothing is taken then.
    pub fn send(&mut self, now: Instant, message: Message<'_>) -> Result<Sent, SendError> {
        let established = match &mut self.phase {
            Phase::Connecting(_) | Phase::Declining(..) => return Err(SendError::NotConnected),
            Phase::Closed(reason) => return Err(SendError::Closed(*reason)),
            Phase::Established(established) => established,
        };
        match established.end {
            End::NotYet => {}
            End::Broken(reason) => return Err(SendError::Closed(reason)),
            End::Closing(_) | End::Goodbye { .. } => return Err(SendError::Closed(ConnectionError::Closed)),
        }
        let sent = established.send.push(now, message).map_err(|error| match error {
            PushError::Full => SendError::Full,
            PushError::TooLarge { len, max } => SendError::TooLarge { len, max },
            PushError::Empty => SendError::Empty,
        })?;
        established.busy_since.get_or_insert(now);
        established.sample_buffers(now);
        if established.rate.on_input(now, message.data.len()) {
            established.link.set_rate(now, established.rate.bytes_per_second());
        }
        Ok(sent)
    }

    /// Appends the next message that is due.
    ///
    /// # Errors
    /// [`RecvError::Empty`] where nothing is due now; [`RecvError::Closed`] where nothing will come any more.
    pub fn recv(&mut self, now: Instant, into: &mut Vec<u8>) -> Result<Received, RecvError> {
        let established = match &mut self.phase {
            Phase::Connecting(_) | Phase::Declining(..) => return Err(RecvError::NotConnected),
            Phase::Closed(reason) => return Err(RecvError::Closed(*reason)),
            Phase::Established(established) => established,
        };
        let received = established.receive.pop(now, into);
        let skipped = established.receive.take_skipped();
        if received.is_some() || skipped.is_some() {
            established.link.on_played(now, &established.receive);
        }
        if let Some(skipped) = skipped {
            self.events.push(Event::Skipped(skipped));
        }
        if self.is_ending() {
            self.go_on_ending(now); // the last message may have been what the end waited for
        }
        if let Some(received) = received {
            return Ok(received);
        }
        match &self.phase {
            Phase::Closed(reason) => Err(RecvError::Closed(*reason)),
            _ => Err(RecvError::Empty),
        }
    }

    /// Ends in order: what was taken for sending is delivered as far as time allows, then the peer is told.
    ///
    /// The end comes when everything is acknowledged, or given up as too late, and by a peer that plays by time was played. A
    /// peer that takes nothing any more is waited for as long as LINGER says; where that is 0, as in live mode, for its latency
    /// and 3 s more. [`unconfirmed`](Self::unconfirmed) tells what was lost. What was received and not handed out is forgotten.
    pub fn close(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Connecting(_) | Phase::Declining(..) => self.end(now, ConnectionError::Closed),
            Phase::Established(established) => match established.end {
                End::NotYet => {
                    established.end = End::Closing(now);
                    self.go_on_ending(now);
                }
                End::Broken(reason) => self.end(now, reason),
                End::Closing(_) | End::Goodbye { .. } => {}
            },
            Phase::Closed(_) => {}
        }
    }

    /// Ends at once: the peer is told, and what was not delivered is lost.
    pub fn abort(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Established(established) => match established.end {
                End::NotYet | End::Closing(_) => established.end = End::Goodbye { left: GOODBYES },
                End::Goodbye { .. } => {}
                End::Broken(reason) => self.end(now, reason),
            },
            Phase::Connecting(_) | Phase::Declining(..) => self.end(now, ConnectionError::Closed),
            Phase::Closed(_) => {}
        }
    }

    /// Sets an option that may be set at any time.
    ///
    /// # Errors
    /// [`ConfigError`] where the option is of another kind, or the value is not allowed.
    pub fn set_option(
        &mut self,
        now: Instant,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), ConfigError> {
        self.config.set_in(Stage::Active, option, value)?;
        if let Phase::Established(established) = &mut self.phase {
            established.rate.configure(&self.config);
            established.link.configure(now, &self.config);
            established.link.set_rate(now, established.rate.bytes_per_second());
        }
        Ok(())
    }

    // ---- out ---------------------------------------------------------------------------------------------------

    /// Fills `batch` (cleared first) with what leaves next, at `now`; `None` where nothing does. Call until then.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut TransmitBatch) -> Option<Transmit> {
        output::poll(self, now, batch)
    }

    /// What happened by itself, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and then [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn next_timeout(&self) -> Option<Deadline> {
        match &self.phase {
            Phase::Closed(_) => None,
            Phase::Declining(..) => Some(Deadline::new(Instant::default(), Timer::Close)),
            Phase::Connecting(caller) => Deadline::earlier(
                Some(Deadline::new(caller.send_at(), Timer::Handshake)),
                Some(Deadline::new(caller.gives_up_at(&self.config), Timer::ConnectTimeout)),
            ),
            Phase::Established(established) => established.next_timeout(&self.config),
        }
    }

    /// When [`recv`](Self::recv) will have something; `None` while that depends on what comes.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Established(established) => established.receive.next_delivery(),
            _ => None,
        }
    }

    // ---- what it knows -----------------------------------------------------------------------------------------

    /// Our socket ID.
    #[must_use]
    pub const fn id(&self) -> SocketId {
        self.id
    }

    /// Where the peer is.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where it is in its life.
    #[must_use]
    pub const fn state(&self) -> State {
        match &self.phase {
            Phase::Connecting(_) | Phase::Declining(..) => State::Connecting,
            Phase::Closed(_) => State::Closed,
            Phase::Established(established) => match established.end {
                End::NotYet => State::Connected,
                End::Closing(_) | End::Goodbye { .. } => State::Closing,
                End::Broken(_) => State::Broken,
            },
        }
    }

    /// Why it ended, or is about to.
    #[must_use]
    pub const fn close_reason(&self) -> Option<ConnectionError> {
        match &self.phase {
            Phase::Connecting(_) => None,
            Phase::Declining(_, reason) => Some(ConnectionError::Rejected(*reason)),
            Phase::Closed(reason) => Some(*reason),
            Phase::Established(established) => match established.end {
                End::NotYet => None,
                End::Closing(_) | End::Goodbye { .. } => Some(ConnectionError::Closed),
                End::Broken(reason) => Some(reason),
            },
        }
    }

    /// The options.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What the handshake agreed; `None` before, and after the end.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.phase {
            Phase::Established(established) => Some(&established.negotiated),
            _ => None,
        }
    }

    /// Packets [`send`](Self::send) would take now.
    #[must_use]
    pub fn send_space(&self) -> usize {
        match &self.phase {
            Phase::Established(established) if established.end == End::NotYet => established.send.free(),
            _ => 0,
        }
    }

    /// The number the next packet gets, and that of the next message.
    #[must_use]
    pub fn next_numbers(&self) -> Option<(SeqNumber, MsgNumber)> {
        match &self.phase {
            Phase::Established(established) => Some((established.send.next(), established.send.next_msgno())),
            _ => None,
        }
    }

    /// True where everything taken for sending was sent and acknowledged.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match &self.phase {
            Phase::Established(established) => established.send.is_empty(),
            _ => true,
        }
    }

    /// Memory held for payloads, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.phase {
            Phase::Established(established) => established.send.memory() + established.receive.memory(),
            _ => 0,
        }
    }

    /// Packets that were to be delivered when an orderly end began, or when the peer was gone, and of which the peer never said
    /// that it has them.
    #[must_use]
    pub const fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }

    /// The link that carries the stream, while it is up.
    #[must_use]
    pub fn link(&self) -> Option<&Link> {
        match &self.phase {
            Phase::Established(established) => Some(&established.link),
            _ => None,
        }
    }

    /// The figures at `now`, raw: an [`Interval`] makes statistics of them. After the end those of the last moment.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        match &self.phase {
            Phase::Established(established) => established.snapshot(now, &self.config),
            _ => self.last.clone(),
        }
    }

    /// Statistics; the interval begins anew where `clear` is set. The sizes of the buffers are averaged over a second.
    ///
    /// After the end they are those of the last moment.
    pub fn stats(&mut self, now: Instant, clear: bool) -> Stats {
        self.report(now, clear, false)
    }

    /// The same with the sizes of the buffers as they are at `now`.
    #[doc(alias = "srt_bistats")]
    pub fn stats_instantaneous(&mut self, now: Instant, clear: bool) -> Stats {
        self.report(now, clear, true)
    }

    // ---- steps -------------------------------------------------------------------------------------------------

    fn report(&mut self, now: Instant, clear: bool, instantaneous: bool) -> Stats {
        let snapshot = self.snapshot(now);
        let at = if matches!(self.phase, Phase::Closed(_)) { snapshot.at } else { now };
        self.interval.stats(&snapshot, at, clear, instantaneous)
    }

    fn establish(&mut self, now: Instant, agreed: Agreed, arrival: Instant, timestamp: Timestamp) {
        let Agreed { negotiated, link: parameters, keys, .. } = agreed;
        let rate = LiveRate::new(&self.config);
        let (send, receive) = negotiated.buffers(&self.config, parameters.epoch, (arrival, timestamp));
        let mut link = Link::with_keys(now, parameters, &self.config, keys);
        link.set_rate(now, rate.bytes_per_second());
        self.phase = Phase::Established(Box::new(Established {
            next_new: negotiated.send_isn,
            link,
            send,
            receive,
            plain: Vec::new(),
            rate,
            last_new_at: Instant::default(),
            last_progress_at: now,
            end: End::NotYet,
            averages: Averages::new(now),
            busy_since: None,
            busy_us: 0,
            negotiated,
        }));
        self.events.push(Event::Connected);
    }

    /// A handshake packet came while calling.
    fn on_handshake(&mut self, now: Instant, timestamp: Timestamp, answer: &Handshake<'_>) {
        let Phase::Connecting(caller) = &mut self.phase else { return };
        match caller.on_handshake(now, &self.config, answer) {
            Outcome::Continues => {}
            Outcome::Established(agreed) => self.establish(now, *agreed, now, timestamp),
            Outcome::Rejected(reason) => self.end(now, ConnectionError::Rejected(reason)),
            Outcome::Declined(reason) => self.phase = Phase::Declining(answer.socket_id, reason),
        }
    }

    /// The peer will not be heard again: what it brought is still handed out.
    fn peer_is_gone(&mut self, now: Instant, reason: ConnectionError) {
        let Phase::Established(established) = &mut self.phase else { return };
        match established.end {
            End::NotYet => {
                established.end = End::Broken(reason);
                self.events.push(Event::PeerGone(reason));
                self.go_on_ending(now);
            }
            End::Closing(_) | End::Goodbye { .. } => self.end(now, reason),
            End::Broken(_) => {}
        }
    }

    fn is_ending(&self) -> bool {
        matches!(&self.phase, Phase::Established(established) if established.end != End::NotYet)
    }

    /// Takes the end one step further where its time has come.
    fn go_on_ending(&mut self, now: Instant) {
        let Phase::Established(established) = &mut self.phase else { return };
        match established.end {
            End::Broken(reason) => {
                let longest = broken_until(now, Some(&established.negotiated));
                if established.receive.next_delivery().is_none_or(|at| at > longest) {
                    self.end(now, reason);
                }
            }
            End::Closing(_) if established.ends_at(&self.config).is_some_and(|at| at <= now) => {
                self.give_up_rest();
                self.goodbye();
            }
            _ => {}
        }
    }

    fn goodbye(&mut self) {
        if let Phase::Established(established) = &mut self.phase {
            established.end = End::Goodbye { left: GOODBYES };
        }
    }

    /// An orderly end waits no longer: what is not acknowledged counts as dropped.
    fn give_up_rest(&mut self) {
        let Phase::Established(established) = &mut self.phase else { return };
        match established.end {
            End::Closing(_) => {
                let (dropped, _) = established.send.give_up(established.send.next());
                self.on_dropped(dropped);
            }
            // The peer is gone, and whoever closes after that has to know what it left.
            End::Broken(_) => self.unconfirmed += established.send.len() as u64,
            // What was cut off was meant to be.
            End::NotYet | End::Goodbye { .. } => {}
        }
    }

    /// Packets that the peer does not have were given up.
    fn on_dropped(&mut self, packets: usize) {
        if packets == 0 {
            return;
        }
        if self.state() == State::Closing {
            self.unconfirmed += packets as u64;
        }
        self.events.push(Event::SendDropped(packets));
    }

    fn end(&mut self, now: Instant, reason: ConnectionError) {
        self.give_up_rest();
        if let Phase::Established(established) = &mut self.phase {
            self.last = established.snapshot(now, &self.config);
        }
        self.phase = Phase::Closed(reason);
        self.events.push(Event::Closed(reason));
    }
}

impl Established {
    /// Sender TLPKTDROP: gives up what can no more be played; tells how many packets.
    fn give_up_late(&mut self, now: Instant, config: &Config) -> usize {
        let Some(threshold) = too_late_after(config, &self.negotiated) else { return 0 };
        let Some(next) = self.send.older_than(now - threshold) else { return 0 };
        let (dropped, _) = self.send.give_up(next);
        self.link.on_given_up(next);
        if self.next_new.is_before(next) {
            self.next_new = next;
        }
        self.note_idle(now);
        dropped
    }

    /// When an orderly end may say goodbye; `None` while that cannot be told yet.
    fn ends_at(&self, config: &Config) -> Option<Instant> {
        let End::Closing(asked) = self.end else { return None };
        let end = OrderlyEnd {
            asked,
            last_new_at: self.last_new_at,
            last_progress_at: self.last_progress_at,
            all_sent: !self.next_new.is_before(self.send.next()),
            confirmed: self.send.is_empty(),
            way: last_way(self.link.rtt()),
        };
        end.says_goodbye_at(config, &self.negotiated)
    }

    fn next_timeout(&self, config: &Config) -> Option<Deadline> {
        if matches!(self.end, End::Broken(_)) {
            return None; // only deliveries remain
        }
        if matches!(self.end, End::Goodbye { .. }) {
            return Some(Deadline::new(Instant::default(), Timer::Close));
        }
        let mut next = self.link.next_timeout(self.next_new);
        if self.next_new.is_before(self.send.next()) && self.link.keys().ready() {
            let paced = self.link.paced_at();
            let at = if self.link.window_left() > 0 {
                Some(paced)
            } else {
                self.link.may_knock_at().map(|at| at.max(paced))
            };
            next = Deadline::earlier(next, at.map(|at| Deadline::new(at, Timer::Pacing)));
        }
        if let Some(threshold) = too_late_after(config, &self.negotiated)
            && let Some((oldest, _)) = self.send.packet(self.send.first())
        {
            let at = oldest.origin + threshold + Micros::from_micros(1);
            next = Deadline::earlier(next, Some(Deadline::new(at, Timer::TooLate)));
        }
        if let Some(at) = self.ends_at(config) {
            next = Deadline::earlier(next, Some(Deadline::new(at, Timer::Close)));
        }
        next
    }

    /// Takes the sizes of the buffers into the averages; cheap where it was just done.
    fn sample_buffers(&mut self, now: Instant) {
        self.averages.sample(now, &self.send, &self.receive);
    }

    /// Everything that is counted or measured.
    fn snapshot(&self, now: Instant, config: &Config) -> Snapshot {
        let busy = self.busy_since.map_or(0, |since| now.saturating_since(since).as_micros());
        let whole = Whole {
            config,
            negotiated: &self.negotiated,
            send: &self.send,
            receive: &self.receive,
            links: &[&self.link],
            past: LinkCounters::default(),
            averages: &self.averages,
            busy_us: self.busy_us + busy,
        };
        whole.snapshot(now)
    }

    /// Keeps the time in which there was something to send or to be acknowledged.
    fn note_idle(&mut self, now: Instant) {
        if self.send.is_empty()
            && let Some(since) = self.busy_since.take()
        {
            self.busy_us += now.saturating_since(since).as_micros();
        }
    }
}
