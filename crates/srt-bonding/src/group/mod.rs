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
mod input;
mod output;
mod steer;

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use srt_protocol::{
    config::{Config, ConfigError, OptionValue, SocketOption, Stage},
    congestion::LiveRate,
    connection::{ConnectionError, Negotiated, RecvError, SendError, State, Transmit, TransmitBatch},
    endpoint::{AcceptedLink, Incoming, LinkTerms},
    entropy::Entropy,
    handshake::{Agreed, Call, Caller, RejectReason},
    link::{Deadline, Link, LinkCounters, TokenBucket},
    packet::{GroupInfo, HEADER_SIZE, UDP_IP_OVERHEAD},
    stats::{Averages, Snapshot, Whole},
    stream::{
        Message, PushError, ReceiveBuffer, ReceiveParameters, Received, SendBuffer, Sent, SeqRange,
        SeqRanges, Tsbpd,
    },
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

use crate::{
    Event, LINKS_MAX, LinkId, LinkReport, Mode,
    capacity::Capacity,
    clock::{Delay, Drift},
    event::Down,
    heal::{Heal, STAGGER},
    health::Health,
    ledger::{Ledger, Slot},
    mask::Mask,
    member::{Member, Phase, Up},
    recovery::Recovery,
};

/// The sender gives up what is older than this, whatever the latency (libsrt: `SRT_TLPKTDROP_MINTHRESHOLD_MS`).
const TOO_LATE_MIN: Micros = Micros::from_secs(1);
/// Added to the threshold above: two ACK periods.
const TOO_LATE_MARGIN: Micros = Micros::from_millis(20);
/// Added to the time at which an orderly end says goodbye.
const END_MARGIN: Micros = Micros::from_millis(10);
/// How long an orderly end waits for acknowledgements at most where no latency bounds it and LINGER is not set.
const END_WAIT: Micros = Micros::from_secs(3);
/// A peer that is gone is waited for no longer than the latency and this, whatever stamps its packets carry.
const BROKEN_WAIT: Micros = Micros::from_secs(5);
/// A group that was called and has lost all its links waits for the caller to come back.
const PATIENCE: Micros = Micros::from_secs(15);
/// What a link is taken to carry before it has shown it, in bytes per second: 2 Mb/s.
const RATE_FIRST: u64 = 250_000;
/// Events kept; when nobody polls, the oldest of those that only inform are forgotten.
const EVENTS_MAX: usize = 1_024;
/// SHUTDOWNs sent on each link, so that a lossy path brings one.
const GOODBYES: u8 = 3;

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
    events: VecDeque<Event>,
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
            events: VecDeque::new(),
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

    /// Adds a link to be called, with options of its own where they are given; `None` where there are as many as can be.
    ///
    /// Of several links the one of the highest weight is preferred (backup), or their shares are like their weights
    /// (balancing, where none is 0).
    pub fn add_link(&mut self, now: Instant, weight: u16, config: Option<Config>) -> Option<LinkId> {
        if self.is_mirror() || self.end != End::NotYet || self.closed.is_some() {
            return None;
        }
        let slot = self.free_slot()?;
        let id = self.next_id();
        let first_try = match &self.stream {
            Some(_) if self.peer.is_some_and(|peer| !peer.groups) => None,
            Some(_) => Some(now),
            None => Some(now + STAGGER * self.members.len() as u64),
        };
        self.members.push(Member {
            id,
            slot,
            weight,
            config: config.map(Box::new),
            ours: true,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            local_ip: None,
            socket: SocketId::HANDSHAKE,
            phase: Phase::Down(first_try),
            heal: Heal::new(),
            down: None,
            ups: 0,
            past: LinkCounters::default(),
            first_copies: 0,
        });
        self.steer(now);
        Some(id)
    }

    /// Calls a link that was [wanted](Event::Wanted); false where it is wanted no more.
    pub fn call(&mut self, now: Instant, id: LinkId, setup: LinkSetup) -> bool {
        let isn = self.stream.as_ref().map(|stream| stream.send.next());
        let (epoch, mode, group_id) = (self.epoch, self.mode, self.id);
        let Role::Caller { isn: first, entropy } = &self.role else { return false };
        let (isn, entropy) = (isn.unwrap_or(*first), Arc::clone(entropy));
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else { return false };
        if !matches!(member.phase, Phase::Wanted) {
            return false;
        }
        let group = Some(GroupInfo {
            id: group_id,
            group_type: mode.group_type(),
            flags: GroupInfo::FLAG_MERGES | if mode == Mode::Balancing { GroupInfo::FLAG_SHARES } else { 0 },
            weight: member.weight,
        });
        let LinkSetup { socket, peer, local_ip } = setup;
        (member.peer, member.local_ip, member.socket) = (peer, local_ip, socket);
        let call = Call { id: socket, isn, peer, local_ip, epoch, group, entropy };
        member.phase = Phase::Calling(Box::new(Caller::new(now, call)));
        true
    }

    /// A link that was wanted could not be opened here.
    pub fn call_failed(&mut self, now: Instant, id: LinkId) {
        if let Some(index) = self.members.iter().position(|member| member.id == id)
            && matches!(self.members[index].phase, Phase::Wanted)
        {
            self.link_down(now, index, Down::Local);
        }
    }

    /// Takes a link out: the peer is told, and it is not called again.
    pub fn remove_link(&mut self, now: Instant, id: LinkId) {
        let Some(index) = self.members.iter().position(|member| member.id == id) else { return };
        self.members[index].ours = false;
        match self.members[index].up_mut() {
            Some(up) if up.goodbyes.is_none() => {
                up.goodbyes = Some(GOODBYES);
                self.hand_on(now, index);
                self.steer(now);
            }
            Some(_) => {}
            None => self.link_down(now, index, Down::Removed),
        }
    }

    /// Whether a caller may join this group: it is the one this group mirrors, as far as that can be told.
    ///
    /// # Errors
    /// The reason to refuse it for.
    pub fn may_join(&self, incoming: &Incoming) -> Result<(), RejectReason> {
        let (Some(theirs), Some(peer)) = (incoming.group, self.peer) else { return Err(RejectReason::Group) };
        let Role::Listener { stream_id, encrypted } = &self.role else { return Err(RejectReason::Group) };
        let same = theirs.id == peer.id
            && theirs.group_type == self.mode.group_type()
            && *stream_id == incoming.stream_id
            && *encrypted == incoming.encrypted;
        if !same || self.end != End::NotYet || self.closed.is_some() {
            return Err(RejectReason::Group);
        }
        if self.free_slot().is_none() {
            return Err(RejectReason::Resource);
        }
        Ok(())
    }

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

    /// A caller was accepted as a link of this group.
    pub fn join(&mut self, now: Instant, accepted: AcceptedLink) -> Option<LinkId> {
        let slot = self.free_slot()?;
        let id = self.next_id();
        let AcceptedLink { agreed, arrival, timestamp, .. } = accepted;
        let parameters = &agreed.link;
        self.members.push(Member {
            id,
            slot,
            weight: agreed.group.map_or(0, |group| group.weight),
            config: None,
            ours: false,
            peer: parameters.peer,
            local_ip: parameters.local_ip,
            socket: parameters.local_id,
            phase: Phase::Wanted,
            heal: Heal::new(),
            down: None,
            ups: 0,
            past: LinkCounters::default(),
            first_copies: 0,
        });
        self.link_up(now, self.members.len() - 1, agreed, arrival, timestamp);
        Some(id)
    }

    fn next_id(&mut self) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        id
    }

    fn free_slot(&self) -> Option<Slot> {
        (0..LINKS_MAX)
            .filter_map(|slot| u8::try_from(slot).ok())
            .map(Slot)
            .find(|slot| self.members.iter().all(|member| member.slot != *slot))
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
            self.push_event(Event::Skipped(skipped));
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

    /// Ends in order: what was taken for sending is delivered as far as time allows, then the peer is told on every link.
    pub fn close(&mut self, now: Instant) {
        match self.end {
            _ if self.closed.is_some() => {}
            End::NotYet if self.stream.is_none() => self.finish(now, ConnectionError::Closed),
            End::NotYet => {
                self.end = End::Closing(now);
                self.go_on_ending(now);
            }
            End::Broken(reason) => self.finish(now, reason),
            End::Closing(_) | End::Goodbye => {}
        }
    }

    /// Ends at once: the peer is told, and what was not delivered is lost.
    pub fn abort(&mut self, now: Instant) {
        match self.end {
            _ if self.closed.is_some() => {}
            End::Broken(reason) => self.finish(now, reason),
            End::NotYet | End::Closing(_) => self.goodbye(now),
            End::Goodbye => {}
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
        self.events.pop_front()
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

    /// A handshake is done.
    fn link_up(
        &mut self,
        now: Instant,
        index: usize,
        agreed: Agreed,
        arrival: Instant,
        timestamp: Timestamp,
    ) {
        let Agreed { negotiated, link: parameters, keys, .. } = agreed;
        let first = self.stream.is_none();
        if first {
            self.start_stream(now, &negotiated, arrival, timestamp);
        }
        let others = self.members.iter().any(|member| member.live().is_some());
        let (masks, shares, config, epoch) = (self.masks(), self.shares(), self.config.clone(), self.epoch);
        let min_timeout = config.group_min_stable_timeout();
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get_mut(index)) else { return };
        let mut parameters = parameters;
        parameters.epoch = epoch;
        if !first {
            // Each direction is numbered by the group that sends, whatever the handshake of a later link said.
            parameters.send_isn = stream.send.first();
        }
        // All links answer for one play clock, that of the first.
        parameters.peer_latency = stream.negotiated.peer_latency;
        let (begins, first_rtt) = (parameters.send_isn, parameters.first_rtt);
        let latency = stream.negotiated.peer_latency.unwrap_or(Micros::from_secs(1));
        let config = member.config.as_deref().unwrap_or(&config);
        let mut link = Link::shared(now, parameters, config, keys);
        // A libsrt whose links are masked takes KEEPALIVEs amiss, and acknowledges by play time.
        link.set_silent(masks);
        let rate = RATE_FIRST.max(stream.input.rate / 4);
        let mut capacity = Capacity::new(now, rate);
        if let Some(rtt) = first_rtt {
            capacity.on_round_trip(now, rtt);
        }
        let mut up = Up {
            link,
            carrying: false,
            since: now,
            probation: (shares && others && member.ups > 0).then_some(now),
            cursor: stream.next_new,
            again: SeqRanges::new(),
            again_pacing: TokenBucket::new(now, None),
            mask: Mask::new(now, begins, masks, latency),
            health: Health::new(now, min_timeout, latency, (masks, self.mode == Mode::Balancing)),
            capacity,
            dark: None,
            forgiven: now,
            limited: self.mode == Mode::Balancing,
            delay: Delay::default(),
            drift: (stream.drift.applied(), 0),
            sent_at: now,
            goodbyes: None,
            report_at: None,
            reported_at: now,
            acks: 0,
            answers: 0,
            shift: None,
            uncompensated: 0,
        };
        if !others {
            // Whatever others carried and nobody acknowledged is this link's now.
            let mut seq = stream.ledger.first();
            while seq.is_before(stream.next_new) {
                if stream.ledger.get(seq).is_none_or(|fate| !fate.done) {
                    up.again.insert(seq, seq);
                }
                seq = seq.next();
            }
        }
        member.phase = Phase::Up(Box::new(up));
        member.heal.on_up(now);
        (member.down, member.ups) = (None, member.ups + 1);
        let id = member.id;
        if first {
            self.push_event(Event::Connected);
        }
        self.push_event(Event::LinkUp(id));
        if self.down_since.take().is_some() && !first {
            self.push_event(Event::Resumed);
        }
        if first && self.peer.is_none_or(|peer| peer.groups) {
            // The peer is known to know groups: the others need not wait.
            for member in &mut self.members {
                if matches!(member.phase, Phase::Down(Some(_)))
                    && member.ups == 0
                    && member.heal.failures == 0
                {
                    member.phase = Phase::Down(Some(now));
                }
            }
        }
        self.set_rates(now);
        self.steer(now);
    }

    fn start_stream(
        &mut self,
        now: Instant,
        negotiated: &Negotiated,
        arrival: Instant,
        timestamp: Timestamp,
    ) {
        let tsbpd = negotiated.receiver_latency.map(|latency| Tsbpd::new(arrival, timestamp, latency));
        let longest = negotiated.mss as usize;
        let receive = ReceiveParameters::new(
            negotiated.receive_isn,
            self.config.receive_buffer_packets() as usize,
            longest.saturating_sub(HEADER_SIZE + UDP_IP_OVERHEAD),
            tsbpd,
            negotiated.tlpktdrop,
        );
        let send = SendBuffer::new(
            negotiated.send_isn,
            self.epoch,
            self.config.send_buffer_packets() as usize,
            negotiated.payload_size,
        );
        self.stream = Some(Box::new(Stream {
            send,
            receive: ReceiveBuffer::new(receive),
            plain: Vec::new(),
            rate: LiveRate::new(&self.config),
            ledger: Ledger::new(negotiated.send_isn),
            recovery: Recovery::default(),
            next_new: negotiated.send_isn,
            last_new_at: Instant::default(),
            last_progress_at: now,
            drift: Drift::default(),
            averages: Averages::new(now),
            busy_since: None,
            busy_us: 0,
            run: None,
            reference_rtt: None,
            input: Input::default(),
            missing: Vec::new(),
            negotiated: negotiated.clone(),
        }));
    }

    /// A link is no more, or did not come to be.
    fn link_down(&mut self, now: Instant, index: usize, reason: Down) {
        self.hand_on(now, index);
        let without_groups = self.peer.is_some_and(|peer| !peer.groups);
        let Some(member) = self.members.get_mut(index) else { return };
        let id = member.id;
        let hopeless = matches!(reason, Down::Refused(_) | Down::OtherPeer | Down::OtherClock);
        if let Phase::Up(up) = &member.phase {
            member.past.add(up.link.counters());
        }
        member.down = Some(reason);
        let again = member.heal.on_down(now, hopeless);
        member.phase = Phase::Down(Some(again));
        if let Some(stream) = &mut self.stream {
            // Its place in the ledger may be another's, or its own of another life.
            stream.ledger.on_gone(member.slot, |_| {});
        }
        if !member.ours || self.end == End::Goodbye {
            let member = self.members.remove(index);
            self.past.add(&member.past);
        }
        self.push_event(Event::LinkDown(id, reason));
        if self.stream.is_none()
            && self.closed.is_none()
            && !self.members.is_empty()
            && self.members.iter().all(|member| member.heal.failures > 0)
        {
            // Every link was tried once, and none came to be.
            let why = input::never(self.members.first().and_then(|member| member.down));
            self.finish(now, why);
            return;
        }
        if without_groups {
            // The next one takes its place, and this one is the last to be tried again.
            let next = self.members.iter_mut().find(|member| matches!(member.phase, Phase::Down(None)));
            if let Some(next) = next {
                next.phase = Phase::Down(Some(now));
            }
        }
        if self.members.iter().all(|member| member.live().is_none())
            && self.stream.is_some()
            && self.down_since.is_none()
        {
            self.down_since = Some(now);
            self.push_event(Event::AllDown);
            // The peer has ended the group, and not one link of it while others wait to be called again.
            let ended = reason == Down::PeerShutdown
                && self
                    .members
                    .iter()
                    .filter(|member| member.ours)
                    .all(|member| member.ups == 0 || member.down == Some(Down::PeerShutdown));
            if ended || matches!(self.end, End::Closing(_)) && !matches!(self.role, Role::Caller { .. }) {
                self.peer_is_gone(
                    now,
                    if ended { ConnectionError::PeerShutdown } else { ConnectionError::PeerIdle },
                );
            }
        }
        self.steer(now);
    }

    /// What a link carried and nobody acknowledged is given to the others.
    fn hand_on(&mut self, now: Instant, index: usize) {
        let (Some(stream), Some(member)) = (&mut self.stream, self.members.get(index)) else { return };
        let slot = member.slot;
        let mut orphans = Vec::new();
        for (seq, fate) in stream.ledger.open() {
            if fate.carriers & slot.bit() != 0 && fate.carriers & !slot.bit() == 0 {
                orphans.push(seq);
            }
        }
        if let Some(up) = member.up() {
            orphans.extend(up.again.iter().flat_map(|(first, last)| {
                (0..=last.distance_from(first).unsigned_abs()).map(move |offset| first + offset)
            }));
        }
        for seq in orphans {
            self.send_again(now, seq, Some(slot));
        }
    }

    /// The peer will not be heard again: what it brought is still handed out.
    fn peer_is_gone(&mut self, now: Instant, reason: ConnectionError) {
        match self.end {
            End::NotYet => {
                self.end = End::Broken(reason);
                self.push_event(Event::PeerGone(reason));
                self.go_on_ending(now);
            }
            End::Closing(_) | End::Goodbye => self.finish(now, reason),
            End::Broken(_) => {}
        }
    }

    /// Takes the end one step further where its time has come.
    fn go_on_ending(&mut self, now: Instant) {
        match self.end {
            _ if self.closed.is_some() => {}
            End::Broken(reason) => {
                let latency =
                    self.negotiated().and_then(|agreed| agreed.receiver_latency).unwrap_or_default();
                let longest = now + latency + BROKEN_WAIT;
                if self.next_delivery().is_none_or(|at| at > longest) {
                    self.finish(now, reason);
                }
            }
            End::Closing(_) if self.ends_at().is_some_and(|at| at <= now) => {
                self.give_up_rest();
                self.goodbye(now);
            }
            End::Goodbye if self.members.iter().all(|member| member.up().is_none()) => {
                self.finish(now, ConnectionError::Closed);
            }
            _ => {}
        }
    }

    fn goodbye(&mut self, now: Instant) {
        self.end = End::Goodbye;
        for member in &mut self.members {
            match &mut member.phase {
                Phase::Up(up) => {
                    up.goodbyes.get_or_insert(GOODBYES);
                }
                _ => member.phase = Phase::Down(None),
            }
        }
        self.go_on_ending(now);
    }

    /// An orderly end waits no longer: what is not acknowledged counts as dropped.
    fn give_up_rest(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        match self.end {
            End::Closing(_) => {
                let dropped = stream.ledger.open().count()
                    + usize::try_from(stream.send.next().distance_from(stream.next_new)).unwrap_or(0);
                stream.send.give_up(stream.send.next());
                self.on_dropped(dropped);
            }
            End::Broken(_) => self.unconfirmed += stream.send.len() as u64,
            End::NotYet | End::Goodbye => {}
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
        self.push_event(Event::SendDropped(packets));
    }

    fn finish(&mut self, now: Instant, reason: ConnectionError) {
        self.give_up_rest();
        self.last = self.snapshot(now);
        self.closed = Some(reason);
        self.push_event(Event::Closed(reason));
    }

    /// Sender TLPKTDROP: gives up what can no more be played; tells how many packets nobody acknowledged.
    fn give_up_late(&mut self, now: Instant) -> usize {
        let Some(threshold) = self.too_late_after() else { return 0 };
        let Some(stream) = &mut self.stream else { return 0 };
        let Some(next) = stream.send.older_than(now - threshold) else { return 0 };
        let mut dropped = 0;
        let mut seq = stream.send.first();
        while seq.is_before(next) {
            dropped += usize::from(stream.ledger.get(seq).is_none_or(|fate| !fate.done));
            seq = seq.next();
        }
        stream.send.give_up(next);
        if stream.next_new.is_before(next) {
            stream.next_new = next;
        }
        stream.ledger.release(next);
        self.on_released(now, next);
        dropped
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

    /// How old a packet may get before the sender gives it up; `None` where it never does.
    fn too_late_after(&self) -> Option<Micros> {
        let delay = self.config.send_drop_delay()?;
        let negotiated = self.negotiated()?;
        let latency = negotiated.peer_latency.filter(|_| negotiated.peer_tlpktdrop)?;
        Some((latency + delay).max(TOO_LATE_MIN) + TOO_LATE_MARGIN)
    }

    /// When an orderly end may say goodbye; `None` while that cannot be told yet.
    fn ends_at(&self) -> Option<Instant> {
        let End::Closing(asked) = self.end else { return None };
        let Some(stream) = &self.stream else { return Some(asked) };
        let linger = self.config.linger();
        let bound = (!linger.is_zero()).then(|| asked + linger);
        let all_sent = !stream.next_new.is_before(stream.send.next());
        let latency = stream.negotiated.peer_latency.unwrap_or_default();
        let progress = asked.max(stream.last_new_at).max(stream.last_progress_at);
        let given_up = Some(progress + latency + END_WAIT).filter(|_| bound.is_none());
        let ways = self
            .members
            .iter()
            .filter_map(Member::up)
            .map(|up| up.link.rtt().longest_half() + up.link.rtt().variance() * 4 + END_MARGIN);
        let way = ways.max().unwrap_or(END_MARGIN);
        // A libsrt whose links are masked acknowledges what it has played.
        let confirmed = stream.send.is_empty();
        let natural = match stream.negotiated.peer_latency {
            _ if stream.last_new_at == Instant::default() && all_sent => Some(asked), // nothing was ever sent
            _ if !confirmed => None,
            Some(latency) => all_sent.then(|| stream.last_new_at + latency + way),
            None => Some(asked),
        };
        [natural, bound, given_up].into_iter().flatten().min()
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            let informs = |event: &Event| {
                !matches!(
                    event,
                    Event::Connected
                        | Event::Wanted(_)
                        | Event::LinkDown(..)
                        | Event::PeerGone(_)
                        | Event::Closed(_)
                )
            };
            match self.events.iter().position(informs) {
                Some(oldest) => drop(self.events.remove(oldest)),
                None if informs(&event) => return,
                None => {}
            }
        }
        self.events.push_back(event);
    }
}
