//! A stream over several links: bytes and commands go in with the time, bytes, events and deadlines come out.
//!
//! [`Group`] owns the two buffers of the stream and the links that carry it. It holds no socket, thread or clock; its owner
//! calls, as with a [`Connection`](srt_protocol::connection::Connection),
//!
//! - [`handle_datagram`](Group::handle_datagram) with each datagram that came for one of its socket IDs,
//! - [`handle_timeout`](Group::handle_timeout) when [`next_timeout`](Group::next_timeout) has come,
//! - then [`poll_transmit`](Group::poll_transmit) and [`poll_event`](Group::poll_event) until `None`, and
//!   [`recv`](Group::recv) when [`next_delivery`](Group::next_delivery) has come,
//!
//! and, when a link is [wanted](Event::Wanted), opens a way to its peer and lets the group [`call`](Group::call) it.

mod balance;
mod ending;
mod input;
mod links;
mod output;
mod steer;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use srt_protocol::{
    config::{Config, ConfigError, OptionValue, SocketOption, Stage},
    congestion::LiveRate,
    connection::{ConnectionError, Negotiated, RecvError, SendError, State, Transmit, TransmitBatch},
    endpoint::{Incoming, LinkTerms},
    entropy::Entropy,
    events::Events,
    link::{Deadline, Link, LinkCounters},
    packet::{GroupInfo, HEADER_SIZE, UDP_IP_OVERHEAD},
    stats::{Averages, Snapshot, Whole},
    stream::{Message, PushError, ReceiveBuffer, Received, SendBuffer, Sent, SeqRange},
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId},
};

use crate::{
    Event, LinkId, LinkReport, Mode,
    clock::Drift,
    ledger::{Ledger, Slot},
    member::Member,
    recovery::Recovery,
};

/// A group that was called and has lost all its links waits for the caller to come back.
const PATIENCE: Micros = Micros::from_secs(15);
/// Events kept; when nobody polls, the oldest of those that only inform are forgotten.
const EVENTS_MAX: usize = 1_024;

/// What a group that calls starts with.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the caller builds it, and whatever comes to it has to be given"
)]
pub struct GroupSetup {
    /// Options, of the stream and of every link that has none of its own.
    pub config: Config,
    /// Which link carries what.
    pub mode: Mode,
    /// A random number, which identifies the group to the peer; bit 30 is set, bit 31 cleared.
    pub id: u32,
    /// The first sequence number: random, so that nobody can guess it.
    pub isn: SeqNumber,
    /// What keys are made of, where the links are encrypted.
    pub entropy: Arc<dyn Entropy>,
}

/// Where and how one link is called.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the caller builds it, and whatever comes to it has to be given"
)]
pub struct LinkSetup {
    /// Our socket ID: any number but 0 that is unique on the UDP port.
    pub socket: SocketId,
    /// Where the listener is.
    pub peer: SocketAddr,
    /// The local address to send from, where it matters.
    pub local_ip: Option<IpAddr>,
}

/// A stream over several links. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Group {
    config: Config,
    mode: Mode,
    id: u32,
    role: Role,
    epoch: Instant,
    /// The group at the other end.
    peer: Option<Peer>,
    members: Vec<Member>,
    next_link: u32,
    stream: Option<Box<Stream>>,
    end: End,
    closed: Option<ConnectionError>,
    events: Events<Event>,
    unconfirmed: u64,
    /// What links have counted that are no more.
    past: LinkCounters,
    /// The member whose turn it is to send.
    turn: usize,
    main: Option<LinkId>,
    /// Since when no link is up.
    down_since: Option<Instant>,
    /// The figures of the last moment, once it has ended.
    last: Snapshot,
    told_rate: u64,
    /// When the main link of a backup group is proven, and others may rest.
    proven_at: Option<Instant>,
}

#[derive(Debug)]
enum Role {
    Caller { isn: SeqNumber, entropy: Arc<dyn Entropy> },
    Listener { stream_id: Vec<u8>, encrypted: bool },
}

/// What is known of the group at the other end.
#[derive(Clone, Copy, Debug)]
struct Peer {
    id: u32,
    /// Its receiver merges links: it takes a packet from any, and says at once what has come.
    merges: bool,
    /// What it sends comes on one link only.
    shares: bool,
    /// It knows groups at all.
    groups: bool,
}

/// The stream, once the first link is up.
#[derive(Debug)]
struct Stream {
    negotiated: Negotiated,
    send: SendBuffer,
    receive: ReceiveBuffer,
    /// A payload while it is decrypted.
    plain: Vec<u8>,
    rate: LiveRate,
    ledger: Ledger,
    recovery: Recovery,
    /// The first packet that no link has carried.
    next_new: SeqNumber,
    last_new_at: Instant,
    last_progress_at: Instant,
    drift: Drift,
    averages: Averages,
    busy_since: Option<Instant>,
    busy_us: u64,
    /// The link that carries the run of packets that is under way, and how many more of them.
    run: Option<(Slot, u32)>,
    /// The round trip of the first link, by which the peer's play clock runs.
    reference_rtt: Option<(LinkId, Option<Micros>)>,
    /// Bytes of payload taken in for sending, and since when: what the application sends per second.
    input: Input,
    /// Runs that are missing, while they are told.
    missing: Vec<SeqRange>,
}

/// How much is sent.
#[derive(Clone, Copy, Debug, Default)]
struct Input {
    bytes: u64,
    since: Option<Instant>,
    /// Bytes per second with all headers.
    rate: u64,
}

impl Input {
    fn take(&mut self, now: Instant, len: usize) {
        let since = *self.since.get_or_insert(now);
        self.bytes += (len + HEADER_SIZE + UDP_IP_OVERHEAD) as u64;
        let elapsed = now.saturating_since(since);
        let span = if self.rate == 0 { Micros::from_millis(100) } else { Micros::from_millis(500) };
        if elapsed >= span {
            self.rate = self.bytes.saturating_mul(1_000_000) / elapsed.as_micros().max(1);
            (self.bytes, self.since) = (0, Some(now));
        }
    }
}

/// How the end goes, once it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// We close in order, asked for at this time.
    Closing(Instant),
    /// The links are being told.
    Goodbye,
    /// The peer is gone.
    Broken(ConnectionError),
}

impl Group {
    /// A group that calls; its links are to be [added](Self::add_link).
    #[must_use]
    pub fn connect(now: Instant, setup: GroupSetup) -> Self {
        let GroupSetup { config, mode, id, isn, entropy } = setup;
        Self::new(now, config, mode, id, Role::Caller { isn, entropy })
    }

    /// A group for a caller that a listener is about to accept, as a mirror of the caller's; `id` is ours. `None` where the caller
    /// names no group.
    ///
    /// Its first link and the later ones [join](Self::join).
    #[must_use]
    pub fn mirror(now: Instant, config: Config, id: u32, incoming: &Incoming) -> Option<Self> {
        let theirs = incoming.group.filter(GroupInfo::is_valid)?;
        let mode = if theirs.group_type == GroupInfo::BACKUP { Mode::Backup } else { Mode::Broadcast };
        let role = Role::Listener { stream_id: incoming.stream_id.clone(), encrypted: incoming.encrypted };
        let mut group = Self::new(now, config, mode, id, role);
        group.peer = Some(Peer {
            id: theirs.id,
            merges: theirs.flags & GroupInfo::FLAG_MERGES != 0,
            shares: theirs.flags & GroupInfo::FLAG_SHARES != 0,
            groups: true,
        });
        Some(group)
    }

    fn new(now: Instant, config: Config, mode: Mode, id: u32, role: Role) -> Self {
        Self {
            config,
            mode,
            id: (id | GroupInfo::ID_BIT) & !(1 << 31),
            role,
            epoch: now,
            peer: None,
            members: Vec::new(),
            next_link: 1,
            stream: None,
            end: End::NotYet,
            closed: None,
            events: Events::new(EVENTS_MAX, Event::informs),
            unconfirmed: 0,
            past: LinkCounters::default(),
            turn: 0,
            main: None,
            down_since: Some(now),
            last: Snapshot::default(),
            told_rate: 0,
            proven_at: None,
        }
    }

    // ---- links -------------------------------------------------------------------------------------------------

    /// A caller's group made it come to be.
    #[must_use]
    pub const fn is_mirror(&self) -> bool {
        matches!(self.role, Role::Listener { .. })
    }

    /// The group at the other end, by its ID.
    #[must_use]
    pub fn peer_id(&self) -> Option<u32> {
        self.peer.map(|peer| peer.id)
    }

    /// On what terms a link joins: for [`Endpoint::accept_link`](srt_protocol::endpoint::Endpoint::accept_link).
    #[must_use]
    pub fn terms(&self, incoming: &Incoming) -> LinkTerms {
        let group = incoming.group.map(|theirs| GroupInfo {
            id: self.id,
            group_type: theirs.group_type,
            flags: theirs.flags & GroupInfo::FLAG_MERGES,
            weight: theirs.weight,
        });
        let receiver_latency = self.stream.as_ref().and_then(|stream| stream.negotiated.receiver_latency);
        LinkTerms { epoch: self.epoch, group, receiver_latency }
    }

    // ---- in ----------------------------------------------------------------------------------------------------

    /// Takes a datagram for the socket ID `socket`. Whatever is wrong with it is counted, and the datagram forgotten.
    pub fn handle_datagram(&mut self, now: Instant, socket: SocketId, datagram: &[u8]) {
        input::handle(self, now, socket, datagram);
    }

    /// Does what time asks for. May be called at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed.is_some() {
            return;
        }
        self.look_at_links(now);
        self.look_at_losses(now);
        let dropped = self.give_up_late(now);
        self.on_dropped(dropped);
        self.steer(now);
        self.tell_safe_rate();
        self.go_on_ending(now);
    }

    // ---- commands ----------------------------------------------------------------------------------------------

    /// Takes a message for sending: numbers, stamps and keeps it.
    ///
    /// # Errors
    /// [`SendError`]; nothing is taken then.
    pub fn send(&mut self, now: Instant, message: Message<'_>) -> Result<Sent, SendError> {
        if let Some(reason) = self.closed {
            return Err(SendError::Closed(reason));
        }
        match self.end {
            End::NotYet => {}
            End::Broken(reason) => return Err(SendError::Closed(reason)),
            End::Closing(_) | End::Goodbye => return Err(SendError::Closed(ConnectionError::Closed)),
        }
        let Some(stream) = &mut self.stream else { return Err(SendError::NotConnected) };
        let sent = stream.send.push(now, message).map_err(|error| match error {
            PushError::Full => SendError::Full,
            PushError::TooLarge { len, max } => SendError::TooLarge { len, max },
            _ => SendError::Empty,
        })?;
        stream.busy_since.get_or_insert(now);
        stream.averages.sample(now, &stream.send, &stream.receive);
        stream.input.take(now, message.data.len());
        if stream.rate.on_input(now, message.data.len()) {
            self.set_rates(now);
        }
        Ok(sent)
    }

    /// Appends the next message that is due.
    ///
    /// # Errors
    /// [`RecvError::Empty`] where nothing is due now; [`RecvError::Closed`] where nothing will come any more.
    pub fn recv(&mut self, now: Instant, into: &mut Vec<u8>) -> Result<Received, RecvError> {
        if let Some(reason) = self.closed {
            return Err(RecvError::Closed(reason));
        }
        let Some(stream) = &mut self.stream else { return Err(RecvError::NotConnected) };
        let received = stream.receive.pop(now, into);
        let skipped = stream.receive.take_skipped();
        if received.is_some() || skipped.is_some() {
            for up in self.members.iter_mut().filter_map(Member::up_mut) {
                up.link.on_played(now, &stream.receive);
            }
        }
        if let Some(skipped) = skipped {
            self.events.push(Event::Skipped(skipped));
        }
        if self.end != End::NotYet {
            self.go_on_ending(now); // the last message may have been what the end waited for
        }
        if let Some(received) = received {
            return Ok(received);
        }
        match self.closed {
            Some(reason) => Err(RecvError::Closed(reason)),
            None => Err(RecvError::Empty),
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
        if let Some(stream) = &mut self.stream {
            stream.rate.configure(&self.config);
        }
        for up in self.members.iter_mut().filter_map(Member::up_mut) {
            up.link.configure(now, &self.config);
        }
        self.set_rates(now);
        Ok(())
    }

    // ---- out ---------------------------------------------------------------------------------------------------

    /// Fills `batch` (cleared first) with what leaves next, at `now`, and tells by which socket ID of ours; `None` where nothing
    /// does. Call until then.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut TransmitBatch) -> Option<(SocketId, Transmit)> {
        output::poll(self, now, batch)
    }

    /// What happened by itself, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and then [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn next_timeout(&self) -> Option<Deadline> {
        output::next_timeout(self)
    }

    /// When [`recv`](Self::recv) will have something; `None` while that depends on what comes.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Instant> {
        self.stream
            .as_ref()
            .filter(|_| self.closed.is_none())
            .and_then(|stream| stream.receive.next_delivery())
    }

    // ---- what it knows -----------------------------------------------------------------------------------------

    /// Our ID of the group.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Which link carries what.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Where it is in its life.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.end {
            _ if self.closed.is_some() => State::Closed,
            End::Broken(_) => State::Broken,
            End::Closing(_) | End::Goodbye => State::Closing,
            End::NotYet if self.stream.is_some() => State::Connected,
            End::NotYet => State::Connecting,
        }
    }

    /// Why it ended, or is about to.
    #[must_use]
    pub const fn close_reason(&self) -> Option<ConnectionError> {
        match (self.closed, self.end) {
            (Some(reason), _) | (None, End::Broken(reason)) => Some(reason),
            (None, End::Closing(_) | End::Goodbye) => Some(ConnectionError::Closed),
            (None, End::NotYet) => None,
        }
    }

    /// The options.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What the handshake of the first link agreed.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.stream.as_ref().map(|stream| &stream.negotiated)
    }

    /// Packets [`send`](Self::send) would take now.
    #[must_use]
    pub fn send_space(&self) -> usize {
        match &self.stream {
            Some(stream) if self.end == End::NotYet && self.closed.is_none() => stream.send.free(),
            _ => 0,
        }
    }

    /// The number the next packet gets, and that of the next message.
    #[must_use]
    pub fn next_numbers(&self) -> Option<(SeqNumber, MsgNumber)> {
        self.stream.as_ref().map(|stream| (stream.send.next(), stream.send.next_msgno()))
    }

    /// Memory held for payloads, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.send.memory() + stream.receive.memory())
    }

    /// Packets that were to be delivered when an orderly end began, or when the peer was gone, and of which the peer never said
    /// that it has them.
    #[must_use]
    pub const fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }

    /// How each link stands, in the order in which they came.
    #[must_use]
    pub fn links(&self) -> Vec<LinkReport> {
        let limits = self.mode == Mode::Balancing;
        self.members.iter().map(|member| member.report(limits)).collect()
    }

    /// The links that carried a packet that is not acknowledged yet.
    #[must_use]
    pub fn carriers(&self, seq: SeqNumber) -> Vec<LinkId> {
        let carriers =
            self.stream.as_ref().and_then(|stream| stream.ledger.get(seq)).map_or(0, |fate| fate.carriers);
        self.members
            .iter()
            .filter(|member| member.slot.bit() & carriers != 0)
            .map(|member| member.id)
            .collect()
    }

    /// The figures at `now`, raw. After the end those of the last moment.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let Some(stream) = self.stream.as_ref().filter(|_| self.closed.is_none()) else {
            return self.last.clone();
        };
        let mut links: Vec<&Link> = self.members.iter().filter_map(Member::up).map(|up| &up.link).collect();
        links.sort_by_key(|link| link.rtt().smoothed());
        let mut past = self.past;
        self.members.iter().for_each(|member| past.add(&member.past));
        let busy = stream.busy_since.map_or(0, |since| now.saturating_since(since).as_micros());
        let whole = Whole {
            config: &self.config,
            negotiated: &stream.negotiated,
            send: &stream.send,
            receive: &stream.receive,
            links: &links,
            past,
            averages: &stream.averages,
            busy_us: stream.busy_us + busy,
        };
        whole.snapshot(now)
    }

    // ---- steps -------------------------------------------------------------------------------------------------

    /// Each packet goes on one link.
    fn shares(&self) -> bool {
        self.mode == Mode::Balancing && self.peer.is_none_or(|peer| peer.groups)
    }

    /// Each packet goes on one link to a libsrt, which keeps the links apart.
    fn masks(&self) -> bool {
        self.shares() && !self.merges()
    }

    fn merges(&self) -> bool {
        self.peer.is_some_and(|peer| peer.merges)
    }

    /// Lets go of what is done with at the beginning of the stream; true where that was anything.
    fn settle(&mut self, now: Instant) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let first = stream.ledger.settle();
        let moved = first.is_after(stream.send.first());
        if moved {
            stream.send.release(first);
            self.on_released(now, first);
        }
        moved
    }

    /// Everything before `next` is done with.
    fn on_released(&mut self, now: Instant, next: SeqNumber) {
        let Some(stream) = &mut self.stream else { return };
        for up in self.members.iter_mut().filter_map(Member::up_mut) {
            up.again.remove_before(next);
            if up.cursor.is_before(next) {
                up.cursor = next;
            }
            up.link.on_given_up(next);
        }
        if stream.send.is_empty()
            && let Some(since) = stream.busy_since.take()
        {
            stream.busy_us += now.saturating_since(since).as_micros();
        }
    }
}
