//! `srt://`: a link that calls or listens, is made anew when asked to, and is watched by the report.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use srt::{
    ConnectionError, Decision, Error, Interest, LinkDown, LinkReport, Message, MessageBatch, Poll,
    RejectReason, SrtGroup, SrtListener, SrtSocket, SrtUri, Stats,
};

use super::links::{Bonding, Ends, GroupPlan, is_up, mode_name};
use super::news::{News, Watch};
use super::uri::masked;
use super::{Nature, Read, Setup, Sink, Source, WAIT, Wrote};
use crate::batch::Batch;
use crate::error::Failure;
use crate::stop::Stop;
use crate::talk::Talk;
use crate::units::show_counted;

/// Wait before the second try to connect; doubles up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Largest payload of live mode at the default MSS.
pub(crate) const LARGEST_LIVE_PAYLOAD: usize = 1456;
/// Told by an end that has not measured a round trip yet.
const ASSUMED_RTT_MS: f64 = 100.0;
/// A group that calls waits so long for a link when none is left: its peer waits no longer.
const LINKS_AWAITED: Duration = Duration::from_secs(15);
/// Said when they did not come back.
const ALL_DOWN: &str = "all links are down; --reconnect goes on when one is there again";
/// Messages given to the library in one call.
const SEND_BATCH: usize = 64;

/// Which end of the pump the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is read.
    Source,
    /// It is written.
    Target,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// Called after so many messages were read or written on the connection.
pub(crate) type Observer = Box<dyn FnMut(usize, &SrtSocket) + Send>;

/// One end of an SRT connection, and the wish to have it.
pub(crate) struct Link {
    name: String,
    role: Role,
    place: Place,
    phase: Phase,
    reconnect: bool,
    ever_connected: bool,
    backoff: Duration,
    monitor: Monitor,
    observer: Option<Observer>,
    compat: bool,
    max_message: usize,
    /// What was given to the present connection.
    given: Given,
    /// Why there is no connection, as it was said last.
    said: String,
    /// Since when no link of the group is up, and when it was looked at last.
    down_since: Option<Instant>,
    looked_at: Option<Instant>,
    stop: Stop,
    talk: Talk,
}

enum Place {
    Caller(Box<SrtUri>),
    Group(Arc<GroupPlan>),
    Listener { listeners: Listeners, seat: Arc<Seat> },
}

enum Phase {
    /// Nothing begun; a listener waits here.
    Idle,
    /// The handshake is on its way; other addresses of the host may follow.
    Connecting {
        socket: SrtSocket,
        others: Vec<SocketAddr>,
    },
    Connected(SrtSocket),
    /// After a failure.
    Resting(Instant),
    /// There will be no other connection.
    Over,
}

impl Link {
    /// Reads the address; a listener is bound, a caller's host is looked up, so that faults show at once.
    ///
    /// # Errors
    /// A wrong address or option, a port in use, a name without address.
    pub(crate) fn open(text: &str, role: Role, setup: &Setup) -> Result<Self, Failure> {
        Self::open_bonded(text, &Bonding::default(), role, setup)
    }

    /// The same with several addresses: the links of one group, or places where its links are awaited.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for addresses that do not go together.
    pub(crate) fn open_bonded(
        text: &str,
        bonding: &Bonding,
        role: Role,
        setup: &Setup,
    ) -> Result<Self, Failure> {
        let ends = Ends::read(text, bonding, role, setup)?;
        let max_message = ends.max_message();
        let mut name = masked(text);
        let place = match ends {
            Ends::Caller(uri) => Place::Caller(uri),
            Ends::Group(plan) => {
                name = plan.name();
                Place::Group(Arc::new(plan))
            }
            Ends::Listeners(uris) => {
                let names: Vec<String> = std::iter::once(text)
                    .chain(bonding.further.iter().map(String::as_str))
                    .map(masked)
                    .collect();
                let mut listeners = Vec::new();
                for (uri, name) in uris.iter().zip(&names) {
                    listeners.push(uri.listen().map_err(|source| failure_of(name, source, ""))?);
                }
                name = names.join(" + ");
                listening(listeners, role)
            }
        };
        let mut link = Self::new(name, role, place, setup);
        link.max_message = max_message;
        Ok(link)
    }

    /// A link that takes its callers from `listener`.
    pub(crate) fn listener(listener: SrtListener, role: Role, setup: &Setup) -> Self {
        let name = format!("srt://{}", listener.local_addr());
        Self::new(name, role, listening(vec![listener], role), setup)
    }

    fn new(name: String, role: Role, place: Place, setup: &Setup) -> Self {
        Self {
            name,
            role,
            place,
            phase: Phase::Idle,
            reconnect: setup.reconnect,
            ever_connected: false,
            backoff: FIRST_BACKOFF,
            monitor: Monitor::default(),
            observer: None,
            compat: false,
            max_message: setup.chunk,
            given: Given::default(),
            said: String::new(),
            down_since: None,
            looked_at: None,
            stop: setup.stop.clone(),
            talk: setup.talk.clone(),
        }
    }

    /// Speaks as srt-live-transmit does.
    pub(crate) fn speak_as_the_tool(&mut self) {
        self.compat = true;
    }

    /// Has `observer` called as messages pass.
    pub(crate) fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// A view of the connection for the report.
    pub(crate) fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// The largest message it carries.
    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    /// Where the link waits for callers, if it is a listener.
    pub(crate) fn waits_at(&self) -> Vec<SocketAddr> {
        match &self.place {
            Place::Listener { listeners, .. } => listeners.all.iter().map(SrtListener::local_addr).collect(),
            Place::Caller(_) | Place::Group(_) => Vec::new(),
        }
    }

    /// One step towards a connection, no longer than [`WAIT`]. Whether there is one.
    fn connect_step(&mut self) -> Result<bool, Failure> {
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connected(socket) => {
                self.phase = Phase::Connected(socket);
                return Ok(true);
            }
            Phase::Over => {
                self.stop.wait(WAIT);
            }
            Phase::Resting(until) => {
                let rest = until.saturating_duration_since(Instant::now());
                self.stop.wait(rest.min(WAIT));
                self.phase = if rest > WAIT { Phase::Resting(until) } else { Phase::Idle };
            }
            Phase::Idle => return self.begin(),
            Phase::Connecting { socket, others } => match socket.wait_connected(Some(WAIT)) {
                Ok(()) => {
                    self.connected(socket);
                    return Ok(true);
                }
                Err(error) if error.is_timeout() => self.phase = Phase::Connecting { socket, others },
                Err(error) => match (&self.place, socket.group()) {
                    (Place::Group(plan), Some(group)) if is_passing(&error) => {
                        let failure = plan.failure(&group.links());
                        self.failed(failure, true)?;
                    }
                    _ => self.call(others, Some(error))?,
                },
            },
        }
        Ok(false)
    }

    fn begin(&mut self) -> Result<bool, Failure> {
        match &self.place {
            Place::Listener { listeners, seat } => {
                self.phase = Phase::Idle;
                match listeners.accept() {
                    Ok(socket) => {
                        self.connected(socket);
                        Ok(true)
                    }
                    Err(error) if error.is_timeout() || error.is_would_block() => {
                        seat.nobody_came();
                        Ok(false)
                    }
                    Err(source) => Err(failure_of(&self.name, source, "")),
                }
            }
            Place::Group(plan) => {
                match plan.start() {
                    Ok(group) => {
                        self.talk.detail(format!("calling on {}", show_counted(plan.len() as u64, "link")));
                        self.monitor.watch(&group, Some(Arc::clone(plan)), self.role);
                        let (socket, others) = (group.socket().clone(), Vec::new());
                        self.phase = Phase::Connecting { socket, others };
                    }
                    Err(source) => {
                        let passing = is_passing(&source);
                        self.failed(failure_of(&self.name, source, ""), passing)?;
                    }
                }
                Ok(false)
            }
            Place::Caller(uri) => {
                match uri.remote_addrs() {
                    // The first address is tried first.
                    Ok(mut addresses) => {
                        addresses.reverse();
                        self.call(addresses, None)?;
                    }
                    Err(error) => self.call(Vec::new(), Some(error))?,
                }
                Ok(false)
            }
        }
    }

    /// Calls the last of `addresses`; without one, `failed` is why there is no connection.
    fn call(&mut self, mut addresses: Vec<SocketAddr>, mut failed: Option<Error>) -> Result<(), Failure> {
        let Place::Caller(uri) = &self.place else { return Ok(()) };
        while let Some(to) = addresses.pop() {
            let started = uri.local_addr().and_then(|from| SrtSocket::start_connect(from, to, uri.options()));
            match started {
                Ok(socket) => {
                    self.talk.detail(format!("calling {to}"));
                    self.phase = Phase::Connecting { socket, others: addresses };
                    return Ok(());
                }
                Err(error) => failed = Some(error),
            }
        }
        let source = failed.unwrap_or(Error::NotConnected);
        let passing = is_passing(&source);
        self.failed(failure_of(&self.name, source, ""), passing)
    }

    /// There is no connection; where trying again may help, and is wanted, it is tried again later.
    fn failed(&mut self, failure: Failure, passing: bool) -> Result<(), Failure> {
        if self.reconnect && passing {
            let cause = failure.to_string();
            if cause != self.said {
                self.talk.say(format!("{cause}; trying again"));
                self.said = cause;
            }
            self.phase = Phase::Resting(Instant::now() + self.backoff);
            self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
            return Ok(());
        }
        self.phase = Phase::Over;
        Err(failure)
    }

    fn connected(&mut self, socket: SrtSocket) {
        let group = socket.group();
        if let (Some(group), Place::Listener { .. }) = (&group, &self.place) {
            self.monitor.watch(group, None, self.role);
        }
        let peer = peer_of(&socket);
        if self.compat {
            match &self.place {
                Place::Listener { .. } => self.talk.say(format!("Accepted SRT {} connection", self.role)),
                Place::Caller(_) | Place::Group(_) => self.talk.say(format!("SRT {} connected", self.role)),
            }
        } else {
            let terms = socket.negotiated().map_or_else(String::new, |terms| {
                let latency = match self.role {
                    Role::Source => terms.receiver_latency,
                    Role::Target => terms.peer_latency,
                };
                let version = terms.peer_version;
                let (major, minor, patch) = (version >> 16, version >> 8 & 0xFF, version & 0xFF);
                let latency = latency.map_or_else(
                    || "no latency".to_owned(),
                    |span| format!("latency {} ms", span.as_millis()),
                );
                let group = group.as_ref().map_or_else(String::new, |group| {
                    let size = match &self.place {
                        Place::Group(plan) => format!(" of {}", show_counted(plan.len() as u64, "link")),
                        _ => String::new(),
                    };
                    format!(", {} group{size}", mode_name(group.mode()))
                });
                format!(" (SRT {major}.{minor}.{patch}, {latency}{group})")
            });
            self.talk.say(format!("connected with {peer}{terms}"));
        }
        if let Place::Listener { seat, .. } = &self.place {
            seat.is_taken();
        }
        self.ever_connected = true;
        self.backoff = FIRST_BACKOFF;
        self.given = Given::default();
        self.said.clear();
        self.down_since = None;
        self.monitor.enter(&socket);
        self.phase = Phase::Connected(socket);
    }

    /// The connection has ended. Whether another is to come.
    fn lost(&mut self, why: &Error) -> bool {
        let lost = self.lost_messages();
        self.monitor.leave(lost);
        let lost = match lost {
            0 => String::new(),
            lost => format!("; {} lost with it", show_counted(lost, "message")),
        };
        if self.compat {
            self.talk.say(format!("SRT {} disconnected{lost}", self.role));
        } else if self.reconnect {
            self.talk.say(format!("{}: {why}{lost}; connecting again", self.name));
        }
        if let Place::Listener { seat, .. } = &self.place {
            seat.is_free();
        }
        self.phase = match &self.place {
            _ if !self.reconnect || self.stop.asked() => Phase::Over,
            Place::Listener { .. } => Phase::Idle,
            Place::Caller(_) | Place::Group(_) => Phase::Resting(Instant::now() + self.backoff),
        };
        self.reconnect && !self.stop.asked()
    }

    /// Messages that the broken connection took, and that the peer never confirmed, or had no time to play; those given up as
    /// too late count elsewhere.
    fn lost_messages(&self) -> u64 {
        let (Role::Target, Some(socket)) = (self.role, self.socket()) else { return 0 };
        if socket.group().is_some() {
            // What no link has brought to the peer.
            let unconfirmed = socket.stats_instantaneous(false).pkt_snd_buf;
            socket.abort();
            return unconfirmed.max(self.unplayed(socket));
        }
        // It is broken; its figures are the last ones when it is closed as well.
        let _ = socket.close();
        let stats = socket.stats_instantaneous(false);
        let confirmed = stats.pkt_sent_unique_total.saturating_sub(stats.pkt_flight_size);
        // What had not come as far as the send buffer is lost with it.
        let given = self.given.messages;
        let unconfirmed = given.saturating_sub(confirmed + stats.pkt_snd_drop_total).max(stats.pkt_snd_buf);
        unconfirmed.max(self.unplayed(socket))
    }

    /// A message is confirmed when it arrives, and played its latency later.
    fn unplayed(&self, socket: &SrtSocket) -> u64 {
        let latency = socket.negotiated().and_then(|terms| terms.peer_latency).map(Duration::from);
        latency.map_or(0, |latency| self.given.within(latency, Instant::now()))
    }

    /// Why a group that calls is given up: all its links are down for good, or for longer than its peer waits for them.
    fn given_up(&mut self) -> Option<Error> {
        let Place::Group(_) = &self.place else { return None };
        let now = Instant::now();
        if self.looked_at.is_some_and(|at| now.duration_since(at) < WAIT) {
            return None;
        }
        self.looked_at = Some(now);
        let links = self.socket().and_then(SrtSocket::group)?.links();
        if links.iter().any(|link| is_up(link.state)) {
            self.down_since = None;
            return None;
        }
        let since = *self.down_since.get_or_insert(now);
        // Whoever answers there now does not know this group.
        let another = links.iter().any(|link| link.down == Some(LinkDown::OtherPeer));
        let over = another || now.duration_since(since) >= LINKS_AWAITED;
        over.then_some(Error::Closed(ConnectionError::PeerIdle))
    }

    fn socket(&self) -> Option<&SrtSocket> {
        match &self.phase {
            Phase::Connected(socket) => Some(socket),
            _ => None,
        }
    }

    fn observe_passing(&mut self, messages: usize) {
        if let (Some(observer), Phase::Connected(socket)) = (&mut self.observer, &self.phase)
            && messages > 0
        {
            observer(messages, socket);
        }
    }

    /// Ends the connection in order and waits until it has ended.
    fn close(&mut self) -> Result<(), Failure> {
        let phase = mem::replace(&mut self.phase, Phase::Over);
        let (Phase::Connected(socket) | Phase::Connecting { socket, .. }) = phase else { return Ok(()) };
        self.monitor.is_ending();
        let closed = socket.close();
        self.monitor.leave(0);
        match closed {
            Ok(()) => Ok(()),
            Err(Error::Unconfirmed { packets }) => {
                Err(Failure::Undelivered { uri: self.name.clone(), packets })
            }
            Err(source) => Err(failure_of(&self.name, source, "")),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Whoever cares for the result has closed before.
        let _ = self.close();
    }
}

/// The messages given to a connection, and the times of the last ones.
#[derive(Debug, Default)]
struct Given {
    messages: u64,
    /// When, and how many there were before.
    recent: VecDeque<(Instant, u64)>,
}

impl Given {
    /// Times are kept no finer than this.
    const GRAIN: Duration = Duration::from_millis(1);
    /// And for no longer than this: the longest latency that there is, and a little more.
    const KEPT: Duration = Duration::from_secs(70);

    fn add(&mut self, messages: u64, now: Instant) {
        if messages == 0 {
            return;
        }
        if self.recent.back().is_none_or(|(last, _)| now.duration_since(*last) >= Self::GRAIN) {
            self.recent.push_back((now, self.messages));
        }
        while self.recent.front().is_some_and(|(first, _)| now.duration_since(*first) > Self::KEPT) {
            self.recent.pop_front();
        }
        self.messages += messages;
    }

    /// Messages given no longer than `span` ago, by the grain.
    fn within(&self, span: Duration, now: Instant) -> u64 {
        let young = |(at, _): &&(Instant, u64)| now.duration_since(*at) < span + Self::GRAIN;
        self.recent.iter().find(young).map_or(0, |(_, before)| self.messages - before)
    }
}

/// Where callers are awaited, at one port or at several.
struct Listeners {
    all: Vec<SrtListener>,
    poll: Poll,
}

impl Listeners {
    /// The next connection, whichever port it comes by; waits for it no longer than [`WAIT`].
    fn accept(&self) -> Result<SrtSocket, Error> {
        if let [only] = self.all.as_slice() {
            return only.accept_timeout(WAIT).map(|(socket, _)| socket);
        }
        let mut events = Vec::new();
        self.poll.wait(&mut events, Some(WAIT));
        for listener in &self.all {
            match listener.try_accept() {
                Err(error) if error.is_would_block() => {}
                result => return result.map(|(socket, _)| socket),
            }
        }
        Err(Error::WouldBlock)
    }
}

/// One caller at a time, which may be a group with many links; others are told so instead of waiting for nothing.
fn listening(all: Vec<SrtListener>, role: Role) -> Place {
    let refusal = match role {
        Role::Source => RejectReason::CONFLICT,
        Role::Target => RejectReason::LOCKED,
    };
    let (seat, poll) = (Arc::new(Seat::default()), Poll::new());
    for listener in &all {
        poll.register(listener, 0, Interest::READABLE);
        let offered = Arc::clone(&seat);
        listener.set_hook(move |caller| {
            let takes = offered.offer(caller.group.map(|group| group.id));
            if takes { Decision::Accept } else { Decision::Reject(refusal) }
        });
    }
    Place::Listener { listeners: Listeners { all, poll }, seat }
}

/// The one connection that a link has room for.
///
/// Offered to the first who asks. Who is refused after that, for the passphrases differ, leaves no word; when nobody has come
/// for a while, the next one may have it. The further links of a group come to the place that its first link has.
#[derive(Debug, Default)]
struct Seat {
    state: Mutex<Offer>,
}

/// Whose the place is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Offer {
    #[default]
    Free,
    /// Offered, to a group perhaps, and so often nobody came.
    Made { group: Option<u32>, in_vain: u8 },
    /// Taken, by a group perhaps.
    Taken { group: Option<u32> },
}

impl Seat {
    /// A caller who is let in comes at once; one who did not come while it was waited for five times does not come.
    const GIVEN_UP: u8 = 5;

    /// Whether it was free, or this is a link of the group that has it; it is kept for who asks.
    fn offer(&self, caller: Option<u32>) -> bool {
        let mut state = self.lock();
        match *state {
            Offer::Free => {
                *state = Offer::Made { group: caller, in_vain: 0 };
                true
            }
            Offer::Made { group, .. } | Offer::Taken { group } => group.is_some() && group == caller,
        }
    }

    fn is_taken(&self) {
        let mut state = self.lock();
        let group = match *state {
            Offer::Free => None,
            Offer::Made { group, .. } | Offer::Taken { group } => group,
        };
        *state = Offer::Taken { group };
    }

    fn is_free(&self) {
        *self.lock() = Offer::Free;
    }

    /// It was waited for the caller for [`WAIT`], in vain.
    fn nobody_came(&self) {
        let mut state = self.lock();
        if let Offer::Made { in_vain, .. } = &mut *state {
            *in_vain += 1;
            if *in_vain >= Self::GIVEN_UP {
                *state = Offer::Free;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Offer> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer's address; that of a group is where its first link that is up goes.
pub(crate) fn peer_of(socket: &SrtSocket) -> SocketAddr {
    let links = socket.group().map(|group| group.links()).unwrap_or_default();
    let up = links.iter().find(|link| is_up(link.state)).or_else(|| links.first());
    up.map_or_else(|| socket.peer_addr(), |link| link.peer)
}

/// A name without address says the name once.
pub(super) fn failure_of(name: &str, source: Error, mend: &'static str) -> Failure {
    let uri = name.to_owned();
    match source {
        Error::Resolve { source, .. } => Failure::Resolve { uri, source },
        source => Failure::Srt { uri, source, mend },
    }
}

/// Whether trying again may help.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Connect { .. } | Error::Resolve { .. } | Error::Closed(_) | Error::NotConnected)
}

/// Messages that arrive.
pub(crate) struct SrtSource {
    link: Link,
    messages: MessageBatch,
    last: Option<Last>,
}

/// After a stop: what was sent before it is still played out.
struct Last {
    sent_before: srt::Instant,
    until: Instant,
}

impl SrtSource {
    /// Connects with the first read.
    pub(crate) fn new(link: Link) -> Self {
        Self { link, messages: MessageBatch::default(), last: None }
    }
}

impl Source for SrtSource {
    fn read(&mut self, batch: &mut Batch, _: usize) -> Result<Read, Failure> {
        if self.last.as_ref().is_some_and(|last| Instant::now() >= last.until) {
            return Ok(Read::End);
        }
        if !self.link.connect_step()? {
            return Ok(Read::Nothing);
        }
        let Some(socket) = self.link.socket() else { return Ok(Read::Nothing) };
        match socket.recv_batch(&mut self.messages) {
            Ok(_) => {}
            Err(error) if error.is_timeout() || error.is_would_block() => {
                let Some(source) = self.link.given_up() else { return Ok(Read::Nothing) };
                if self.link.lost(&source) {
                    return Ok(Read::Nothing);
                }
                if self.link.compat || self.link.stop.asked() {
                    return Ok(Read::End);
                }
                return Err(failure_of(&self.link.name, source, ALL_DOWN));
            }
            Err(source) => {
                let again = self.link.lost(&source);
                return if again {
                    Ok(Read::Nothing)
                } else if source.is_end_of_stream() || self.link.compat || self.link.stop.asked() {
                    Ok(Read::End)
                } else {
                    let mend = "--reconnect waits for it to come back";
                    Err(failure_of(&self.link.name, source, mend))
                };
            }
        }
        let before = batch.len();
        for (received, data) in self.messages.iter() {
            if self.last.as_ref().is_some_and(|last| received.source_time > last.sent_before) {
                self.last = Some(Last { sent_before: received.source_time, until: Instant::now() });
                break;
            }
            batch.push(data, Some(received.source_time.as_micros()));
        }
        let count = batch.len() - before;
        self.link.observe_passing(count);
        Ok(if count > 0 { Read::Messages } else { Read::Nothing })
    }

    fn stop(&mut self) {
        let latency =
            self.link.socket().and_then(SrtSocket::negotiated).and_then(|terms| terms.receiver_latency);
        let latency = latency.map_or(Duration::ZERO, Duration::from);
        // The way here comes on top; a later message ends it sooner.
        let way = self.link.socket().map_or(Duration::ZERO, |socket| {
            Duration::try_from_secs_f64(socket.stats(false).ms_rtt / 1e3).unwrap_or_default() + WAIT
        });
        self.last = Some(Last { sent_before: srt::time_now(), until: Instant::now() + latency + way });
    }

    fn nature(&self) -> Nature {
        Nature::Live
    }
}

/// Messages to send.
pub(crate) struct SrtSink {
    link: Link,
    with_source_time: bool,
}

impl SrtSink {
    /// Connects when first asked whether it is ready. `with_source_time`: messages keep the time of their origin.
    pub(crate) fn new(link: Link, with_source_time: bool) -> Self {
        Self { link, with_source_time }
    }

    /// Sends a few messages; how many were taken.
    fn send(&self, socket: &SrtSocket, messages: &[&[u8]], times: &[Option<u64>]) -> Result<usize, Error> {
        if !self.with_source_time {
            return socket.send_batch(messages);
        }
        for (place, (data, time)) in messages.iter().zip(times).enumerate() {
            let mut message = Message::new(data);
            message.source_time = time.map(srt::Instant::from_micros);
            match socket.send_message(&message) {
                Ok(_) => {}
                Err(_) if place > 0 => return Ok(place),
                Err(error) => return Err(error),
            }
        }
        Ok(messages.len())
    }

    /// Sends all of `batch` that can be sent; how many, and why not more.
    fn send_all(&self, socket: &SrtSocket, batch: &Batch) -> (usize, Option<Error>) {
        let mut done = 0;
        let mut messages = batch.iter().peekable();
        while messages.peek().is_some() {
            let mut data: [&[u8]; SEND_BATCH] = [&[]; SEND_BATCH];
            let mut times = [None; SEND_BATCH];
            let mut count = 0;
            for (place, (message, time)) in messages.by_ref().take(SEND_BATCH).enumerate() {
                (data[place], times[place]) = (message, time);
                count = place + 1;
            }
            let mut start = 0;
            while start < count {
                match self.send(socket, &data[start..count], &times[start..count]) {
                    Ok(taken) => start += taken,
                    Err(error) => return (done + start, Some(error)),
                }
            }
            done += count;
        }
        (done, None)
    }
}

impl Sink for SrtSink {
    fn ready(&mut self) -> Result<bool, Failure> {
        if let Some(socket) = self.link.socket()
            && !socket.is_connected()
        {
            let why = Error::Closed(socket.close_reason().unwrap_or(ConnectionError::Closed));
            return self.gone(why);
        }
        if let Some(why) = self.link.given_up() {
            return self.gone(why);
        }
        self.link.connect_step()
    }

    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        let Some(socket) = self.link.socket() else { return Ok(Wrote::Messages(0)) };
        let (count, error) = self.send_all(socket, batch);
        self.link.given.add(count as u64, Instant::now());
        self.link.observe_passing(count);
        match error {
            None => {}
            Some(error) if error.is_timeout() || error.is_would_block() => {}
            Some(error @ (Error::Closed(_) | Error::NotConnected)) => {
                self.gone(error)?;
            }
            Some(source) => return Err(failure_of(&self.link.name, source, "")),
        }
        Ok(Wrote::Messages(count))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.link.socket().is_some() {
            self.link.talk.detail("waiting until the receiver has everything");
        }
        match self.link.close() {
            // The tool takes the end of a connection for the end of its work.
            Err(failure) if self.link.compat => {
                self.link.talk.warn(failure.to_string());
                Ok(())
            }
            result => result,
        }
    }
}

impl SrtSink {
    /// Ends at once; what is on its way is lost.
    pub(crate) fn abort(&mut self) {
        if let Some(socket) = self.link.socket() {
            socket.abort();
        }
        // Nothing is left to wait for, and nothing to be said about it.
        let _ = self.link.close();
    }

    /// The connection has ended while there was more to send.
    fn gone(&mut self, source: Error) -> Result<bool, Failure> {
        if self.link.lost(&source) || self.link.stop.asked() {
            return Ok(false);
        }
        if self.link.compat {
            // The tool takes the end of a connection for the end of its work.
            self.link.stop.ask();
            return Ok(false);
        }
        let mend = match self.link.place {
            Place::Group(_) => ALL_DOWN,
            _ => "--reconnect goes on when it is there again",
        };
        Err(failure_of(&self.link.name, source, mend))
    }
}

/// What the report sees of a link; clones see the same.
#[derive(Clone, Default)]
pub(crate) struct Monitor {
    shared: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    socket: Option<SrtSocket>,
    connections: u64,
    past: Totals,
    watch: Option<Watch>,
    /// Of groups that are no more.
    news: Vec<News>,
}

/// Figures since the start, over all connections of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    /// Data packets sent, without those sent again.
    pub(crate) sent: u64,
    /// Packets sent again.
    pub(crate) resent: u64,
    /// Packets that the peer reported lost.
    pub(crate) reported_lost: u64,
    /// Packets given up by the sender as too late.
    pub(crate) dropped_by_sender: u64,
    /// Packets that arrived, each once.
    pub(crate) received: u64,
    /// Packets found missing by the receiver.
    pub(crate) missing: u64,
    /// Packets the receiver never got in time.
    pub(crate) dropped_by_receiver: u64,
    /// Messages taken by a connection that broke before the peer had confirmed and played them.
    pub(crate) lost_in_breaks: u64,
    /// Round-trip time in ms, of the last connection that measured it.
    pub(crate) rtt_ms: Option<f64>,
}

impl Totals {
    fn add(&mut self, stats: &Stats) {
        self.sent += stats.pkt_sent_unique_total;
        self.resent += stats.pkt_retrans_total;
        self.reported_lost += stats.pkt_snd_loss_total;
        self.dropped_by_sender += stats.pkt_snd_drop_total;
        self.received += stats.pkt_recv_unique_total;
        self.missing += stats.pkt_rcv_loss_total;
        self.dropped_by_receiver += stats.pkt_rcv_drop_total;
        let measured = (stats.ms_rtt - ASSUMED_RTT_MS).abs() > f64::EPSILON;
        self.rtt_ms = Some(stats.ms_rtt).filter(|_| measured).or(self.rtt_ms);
    }
}

impl Monitor {
    /// The present connection.
    pub(crate) fn socket(&self) -> Option<SrtSocket> {
        self.lock().socket.clone()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.lock().connections
    }

    /// Figures so far.
    pub(crate) fn totals(&self) -> Totals {
        let watched = self.lock();
        let mut totals = watched.past;
        if let Some(socket) = &watched.socket {
            totals.add(&socket.stats(false));
        }
        totals
    }

    /// How the links of the present group stand, with what they are called; empty where there is no group.
    pub(crate) fn links(&self) -> Vec<(Option<String>, LinkReport)> {
        let watched = self.lock();
        let group = watched.socket.as_ref().and_then(SrtSocket::group);
        let (Some(group), Some(watch)) = (group, &watched.watch) else { return Vec::new() };
        let links = group.links().into_iter();
        links.map(|link| (watch.label(link.id).map(str::to_owned), link)).collect()
    }

    /// What has happened to groups since this was asked last.
    pub(crate) fn news(&self) -> Vec<News> {
        let mut watched = self.lock();
        let mut news = mem::take(&mut watched.news);
        if let Some(watch) = &mut watched.watch {
            let lost = watch.collect(&mut news);
            watched.past.lost_in_breaks += lost;
        }
        news
    }

    /// From now on what happens to this group is told; `plan` is that by which it calls.
    fn watch(&self, group: &SrtGroup, plan: Option<Arc<GroupPlan>>, role: Role) {
        let mut watched = self.lock();
        let Watched { watch, news, past, .. } = &mut *watched;
        if let Some(mut earlier) = watch.replace(Watch::new(group, plan, role)) {
            past.lost_in_breaks += earlier.collect(news);
        }
    }

    /// The end has begun: that links go is no news.
    fn is_ending(&self) {
        if let Some(watch) = &mut self.lock().watch {
            watch.is_ending();
        }
    }

    fn enter(&self, socket: &SrtSocket) {
        let mut watched = self.lock();
        watched.connections += 1;
        watched.socket = Some(socket.clone());
    }

    fn leave(&self, lost: u64) {
        let mut watched = self.lock();
        if let Some(socket) = watched.socket.take() {
            watched.past.add(&socket.stats(false));
            watched.past.lost_in_breaks += lost;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::tests::setup;
    use super::super::links::largest_message;
    use super::*;
    use crate::secret::Secret;
    use srt::Options;

    /// A source that listens, and what calls it.
    fn listening_source(reconnect: bool) -> (SrtSource, Monitor, String, Stop) {
        let setup = Setup { reconnect, ..setup(1316) };
        let options = Options::new().latency(Duration::from_millis(200)).receive_timeout(Some(WAIT));
        let listener = SrtListener::bind("127.0.0.1:0", &options).unwrap();
        let address = format!("srt://{}?latency=200", listener.local_addr());
        let link = Link::listener(listener, Role::Source, &setup);
        let monitor = link.monitor();
        (SrtSource::new(link), monitor, address, setup.stop)
    }

    fn batch_of(messages: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        messages.iter().for_each(|message| batch.push(message, None));
        batch
    }

    /// Sends through a new sink while the source is read; what arrived.
    fn exchange(source: &mut SrtSource, address: &str, messages: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut sink = SrtSink::new(Link::open(address, Role::Target, &setup(1316)).unwrap(), false);
        let mut arrived = Batch::default();
        while !sink.ready().unwrap() {
            source.read(&mut arrived, 8).unwrap();
        }
        assert_eq!(sink.write(&batch_of(messages)).unwrap(), Wrote::Messages(messages.len()));
        while arrived.len() < messages.len() {
            source.read(&mut arrived, 8).unwrap();
        }
        sink.finish().unwrap();
        arrived.iter().map(|(message, _)| message.to_vec()).collect()
    }

    #[test]
    fn what_was_sent_before_a_stop_is_still_played_out() {
        let (mut source, _, address, _) = listening_source(false);
        let mut sink = SrtSink::new(Link::open(&address, Role::Target, &setup(1316)).unwrap(), false);
        let mut arrived = Batch::default();
        while !sink.ready().unwrap() || source.link.socket().is_none() {
            source.read(&mut arrived, 8).unwrap();
        }
        sink.write(&batch_of(&[b"in flight"])).unwrap();
        source.stop();
        while source.read(&mut arrived, 8).unwrap() != Read::End {}
        assert_eq!(arrived.bytes(), b"in flight", "its play time is 200 ms after the stop");
    }

    #[test]
    fn a_link_told_to_reconnect_takes_the_next_caller_and_adds_up() {
        let (mut source, monitor, address, stop) = listening_source(true);
        for round in 1..=2 {
            assert_eq!(
                exchange(&mut source, &address, &[b"one", b"two"]),
                [b"one".to_vec(), b"two".to_vec()]
            );
            while monitor.socket().is_some() {
                assert_eq!(source.read(&mut Batch::default(), 8).unwrap(), Read::Nothing);
            }
            assert_eq!((monitor.connections(), monitor.totals().received), (round, 2 * round));
        }
        stop.ask();
        source.stop();
        assert_eq!(source.read(&mut Batch::default(), 8).unwrap(), Read::End);
    }

    #[test]
    fn what_was_given_within_the_latency_is_counted() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut given = Given::default();
        for millis in [0, 5, 100, 200, 90_000] {
            given.add(10, at(millis));
        }
        assert_eq!(
            (given.messages, given.recent.len()),
            (50, 1),
            "what is older than any latency is forgotten"
        );
        let mut given = Given::default();
        for millis in [0, 5, 100, 200] {
            given.add(10, at(millis));
        }
        let within = |span| given.within(Duration::from_millis(span), at(210));
        assert_eq!([within(5), within(50), within(120), within(500)], [0, 10, 20, 40]);
    }

    #[test]
    fn without_reconnect_the_end_of_the_sender_is_the_end() {
        let (mut source, _, address, _) = listening_source(false);
        exchange(&mut source, &address, &[b"only"]);
        loop {
            match source.read(&mut Batch::default(), 8).unwrap() {
                Read::Nothing => {}
                read => {
                    assert_eq!(read, Read::End);
                    break;
                }
            }
        }
    }

    #[test]
    fn who_was_let_in_and_did_not_come_keeps_nobody_out() {
        let (mut source, _, address, _) = listening_source(false);
        let Place::Listener { seat, .. } = &source.link.place else { panic!("not a listener") };
        let seat = Arc::clone(seat);
        assert!(seat.offer(None) && !seat.offer(None));
        for _ in 0..5 {
            assert_eq!(source.read(&mut Batch::default(), 8).unwrap(), Read::Nothing);
        }
        assert_eq!(exchange(&mut source, &address, &[b"next"]), [b"next".to_vec()]);
        assert!(!seat.offer(None), "whoever sits there keeps it until the end is seen");
    }

    #[test]
    fn a_passphrase_from_elsewhere_is_for_addresses_that_name_none() {
        let path = std::env::temp_dir().join(format!("srt-cli-link-{}", std::process::id()));
        std::fs::write(&path, "open sesame\n").unwrap();
        let passphrase = Secret::find(Some(&path), &Talk::silent()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let setup = Setup { passphrase, ..setup(1316) };
        for (address, expected) in [
            ("srt://127.0.0.1:1", Some("open sesame")),
            ("srt://127.0.0.1:1?passphrase=open%20barley", Some("open barley")),
            ("srt://127.0.0.1:1?passphrase=", None),
        ] {
            let link = Link::open(address, Role::Target, &setup).unwrap();
            let Place::Caller(uri) = &link.place else { panic!("not a caller") };
            let expected = expected.map(|text| srt::Passphrase::new(text.as_bytes()).unwrap());
            assert_eq!(uri.options().config().passphrase(), expected.as_ref(), "{address}");
        }
    }

    #[test]
    fn the_tag_of_gcm_takes_room_of_a_chunk() {
        let gcm = "srt://127.0.0.1:1?cryptomode=2";
        assert_eq!((largest_message(gcm), largest_message("srt://127.0.0.1:1")), (1_440, 1_456));
        assert_eq!(Link::open(gcm, Role::Target, &setup(1_440)).unwrap().max_message(), 1_440);
        let failure = Link::open(gcm, Role::Target, &setup(1_456)).err().unwrap();
        let says =
            "--chunk 1456: an SRT message carries at most 1440 bytes with AES-GCM; use 1316 (7 TS packets)";
        assert_eq!((failure.to_string().as_str(), failure.exit_code()), (says, 2));
    }

    #[test]
    fn a_second_caller_is_told_that_the_place_is_taken() {
        let (mut source, _, address, _) = listening_source(false);
        let mut first = SrtSink::new(Link::open(&address, Role::Target, &setup(1316)).unwrap(), false);
        while !first.ready().unwrap() {
            source.read(&mut Batch::default(), 8).unwrap();
        }
        let mut second = SrtSink::new(Link::open(&address, Role::Target, &setup(1316)).unwrap(), false);
        let failure = loop {
            match second.ready() {
                Ok(there) => assert!(!there),
                Err(failure) => break failure,
            }
        };
        let Failure::Srt { source, .. } = &failure else { panic!("{failure}") };
        assert_eq!(source.reject_reason(), Some(RejectReason::CONFLICT), "{failure}");
    }

    #[test]
    fn the_time_of_origin_survives_a_relay() {
        let (mut source, _, address, _) = listening_source(false);
        let mut sink = SrtSink::new(Link::open(&address, Role::Target, &setup(1316)).unwrap(), true);
        let mut arrived = Batch::default();
        while !sink.ready().unwrap() {
            source.read(&mut arrived, 8).unwrap();
        }
        let mut batch = Batch::default();
        let now = srt::time_now().as_micros();
        for age in [50_000, 30_000, 10_000] {
            batch.push(b"message", Some(now - age));
        }
        assert_eq!(sink.write(&batch).unwrap(), Wrote::Messages(3));
        while arrived.len() < 3 {
            source.read(&mut arrived, 8).unwrap();
        }
        let times: Vec<u64> = arrived.iter().filter_map(|(_, time)| time).collect();
        assert_eq!(
            [times[1] - times[0], times[2] - times[1]],
            [20_000; 2],
            "the distances are those of the origin"
        );
    }
}
