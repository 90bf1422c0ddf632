//! One connection as the application sees it: what it hands over to its worker, and what the worker hands back.
//!
//! This is the only place where the packet path takes a lock: the application appends to one run of bytes, the worker takes
//! the whole run away in one swap; the worker appends all that is due in one go. Both sides say whether they wait, so nobody
//! is woken for nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use srt_protocol::{
    config::{Config, ConfigError, OptionValue, SocketOption, Stage},
    connection::{ConnectionError, Negotiated, State},
    link::KeyReport,
    packet::GroupInfo,
    stats::{Interval, Snapshot, Stats},
    stream::{Message, Received, Sent},
    time::Instant,
    types::{MsgNumber, SeqNumber, SocketId},
};

use super::{
    bond::GroupFace,
    inbox::{Command, Inbox},
    parcel::{Feed, Parcel},
    slab::NOWHERE,
    waiters::{Calls, Waiters, deadline, wait},
};
use crate::{
    Error, Readiness, facts,
    options::duration,
    poll::{Registration, Watched},
    time_now,
};

/// The meeting place of an application and the worker that serves its connection.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(super) id: SocketId,
    pub(super) peer: SocketAddr,
    inbox: Arc<Inbox>,
    /// Where the worker keeps the connection; the worker alone reads and writes it.
    slot: AtomicU32,
    /// Messages that wait for the application: the worker's view of what the lock protects.
    unread: AtomicUsize,
    /// Messages that may wait at most; what comes after stays with the connection, so that its window closes.
    unread_most: usize,
    inner: Mutex<Inner>,
    figures: Mutex<Figures>,
    readers: Condvar,
    writers: Condvar,
    /// Called when the connection comes to be and when it ends.
    life: Condvar,
    /// What is to be seen of the group, where the stream has several links.
    group: Option<Arc<GroupFace>>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    local: SocketAddr,
    config: Config,
    negotiated: Option<Arc<Negotiated>>,

    outgoing: Feed,
    /// Packets that may be appended to `outgoing` now.
    room: usize,
    next_seq: SeqNumber,
    next_msgno: MsgNumber,
    message_max: usize,
    /// Packets that an orderly end could not deliver.
    unconfirmed: u64,
    /// What the peer reported, and no call to send has failed for yet.
    peer_error: Option<u32>,
    /// The worker shall tell at once when there is room.
    wants_room: bool,

    incoming: Parcel,
    /// The worker stopped handing over because too much waits.
    paused: bool,

    /// The worker's inbox knows that something is to be fetched or continued here.
    touched: bool,
    reading: Waiters,
    writing: Waiters,
    living: Waiters,
    watchers: Vec<Arc<Registration>>,
}

/// What is known of the connection, as of its last turns.
#[derive(Debug, Default)]
struct Figures {
    /// `None` before the connection stands.
    snapshot: Option<Box<Snapshot>>,
    interval: Interval,
    /// No more will come: time stands still for the figures.
    last: bool,
}

/// How far the connection has come, for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    /// The peer is gone; what it sent is still handed out.
    Ending(ConnectionError),
    /// We have closed it, and the worker brings it to its end.
    Closing,
    /// It is over. What waits in the hand-over can still be read.
    Closed(ConnectionError),
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience<'a> {
    /// Not at all.
    None,
    /// As SNDSYN, SNDTIMEO, RCVSYN and RCVTIMEO say.
    AsConfigured,
    /// Not at all, but this task is to be woken when it is worth another try.
    Task { key: u64, waker: &'a Waker },
}

/// What the worker learns when it fetches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetched {
    /// The room that the application knows of now.
    pub(super) room: usize,
    /// Whether it waits for more.
    pub(super) wants_room: bool,
}

/// The application's side.
impl Handover {
    pub(super) fn new(
        id: SocketId,
        peer: SocketAddr,
        local: SocketAddr,
        config: Config,
        inbox: Arc<Inbox>,
    ) -> Self {
        Self {
            id,
            peer,
            inbox,
            slot: AtomicU32::new(NOWHERE),
            unread: AtomicUsize::new(0),
            unread_most: (config.receive_buffer_packets() as usize / RECEIVE_SHARE)
                .clamp(UNREAD_LEAST, UNREAD_MOST),
            inner: Mutex::new(Inner {
                phase: Phase::Connecting,
                local,
                message_max: config.payload_size(),
                config,
                negotiated: None,
                outgoing: Feed::default(),
                room: 0,
                next_seq: SeqNumber::new(0),
                next_msgno: MsgNumber::FIRST,
                unconfirmed: 0,
                peer_error: None,
                wants_room: false,
                incoming: Parcel::default(),
                paused: false,
                touched: false,
                reading: Waiters::default(),
                writing: Waiters::default(),
                living: Waiters::default(),
                watchers: Vec::new(),
            }),
            figures: Mutex::default(),
            readers: Condvar::new(),
            writers: Condvar::new(),
            life: Condvar::new(),
            group: None,
        }
    }

    /// The meeting place of a group.
    pub(super) fn of_group(
        peer: SocketAddr,
        local: SocketAddr,
        config: Config,
        inbox: Arc<Inbox>,
        group: Arc<GroupFace>,
    ) -> Self {
        // No socket has the ID of a group, whose bit 30 is set.
        let id = SocketId::new(group.id() | GroupInfo::ID_BIT);
        Self { group: Some(group), ..Self::new(id, peer, local, config, inbox) }
    }

    /// What is to be seen of the group.
    pub(crate) const fn group(&self) -> Option<&Arc<GroupFace>> {
        self.group.as_ref()
    }

    pub(crate) const fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Sends one message.
    pub(crate) fn send(
        self: &Arc<Self>,
        message: &Message<'_>,
        patience: Patience<'_>,
    ) -> Result<Sent, Error> {
        self.write(patience, |inner| inner.append(message, time_now()))
    }

    /// Sends as many of the messages as there is room for, and tells how many that were: at least one.
    pub(crate) fn send_batch(
        self: &Arc<Self>,
        messages: &[&[u8]],
        patience: Patience<'_>,
    ) -> Result<usize, Error> {
        self.write(patience, |inner| {
            // After a wait for room, so that no message is older than it is.
            let (mut taken, now) = (0, time_now());
            for data in messages {
                match inner.append(&Message::new(data), now) {
                    Ok(_) => taken += 1,
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => break,
                }
            }
            Ok(taken)
        })
    }

    /// Receives one message into `buffer`.
    pub(crate) fn recv(
        self: &Arc<Self>,
        buffer: &mut [u8],
        patience: Patience<'_>,
    ) -> Result<Received, Error> {
        self.read(patience, |inner| {
            let Some((&message, bytes)) = inner.incoming.first() else { return Ok(None) };
            let have = buffer.len();
            let target = buffer.get_mut(..bytes.len());
            target.ok_or(Error::BufferTooSmall { need: bytes.len(), have })?.copy_from_slice(bytes);
            inner.incoming.drop_first();
            Ok(Some(message))
        })
    }

    /// Receives all messages that wait into `parcel`, which is emptied first; at least one.
    pub(crate) fn recv_batch(
        self: &Arc<Self>,
        parcel: &mut Parcel,
        patience: Patience<'_>,
    ) -> Result<usize, Error> {
        parcel.clear();
        self.read(patience, |inner| {
            std::mem::swap(&mut inner.incoming, parcel);
            Ok((!parcel.is_empty()).then_some(parcel.len()))
        })
    }

    /// Waits until a message can be read, or none will come.
    pub(crate) fn readable(self: &Arc<Self>, patience: Patience<'_>) -> Result<(), Error> {
        self.read(patience, |inner| Ok((!inner.incoming.is_empty()).then_some(())))
    }

    /// Waits until a message can be sent, or none will be taken.
    pub(crate) fn writable(self: &Arc<Self>, patience: Patience<'_>) -> Result<(), Error> {
        self.write(patience, |inner| inner.check_room())
    }

    /// Waits until the connection stands, or will not. `timeout` `None` waits as long as the protocol tries.
    pub(crate) fn wait_connected(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let (mut inner, until) = (self.lock(), deadline(timeout));
        loop {
            match inner.connected(self.peer) {
                Err(Error::NotConnected) => {}
                other => return other,
            }
            let in_time;
            self.check_process()?;
            (inner, in_time) = wait(inner, &self.life, until, |inner| &mut inner.living);
            if !in_time {
                return Err(Error::Timeout { what: "connect" });
            }
        }
    }

    /// Whether the connection stands, or will not. While neither is known the task is put down to be woken, and the answer
    /// is [`Error::NotConnected`].
    pub(crate) fn check_connected(&self, key: u64, waker: &Waker) -> Result<(), Error> {
        let mut inner = self.lock();
        let answer = inner.connected(self.peer);
        if matches!(answer, Err(Error::NotConnected)) {
            inner.living.enlist(key, waker);
        }
        answer
    }

    /// Starts the end of the connection: in order, or at once. Calls that wait are interrupted.
    pub(crate) fn close(self: &Arc<Self>, abort: bool) {
        let mut calls = Calls::default();
        let mut inner = self.lock();
        match inner.phase {
            Phase::Closed(_) => return,
            Phase::Closing if !abort => return,
            _ => inner.phase = Phase::Closing,
        }
        inner.incoming.clear();
        self.unread.store(0, Ordering::Relaxed);
        self.call_everybody(&mut inner, &mut calls);
        drop(inner);
        // A worker that is gone has ended the connection.
        self.inbox.send(Command::Close { handover: Arc::clone(self), abort }).ok();
        calls.make();
    }

    /// Waits until the connection is at its end, and tells whether what was sent before was delivered.
    pub(crate) fn wait_closed(&self) -> Result<(), Error> {
        let mut inner = self.lock();
        while !matches!(inner.phase, Phase::Closed(_)) && !self.inbox.is_foreign() {
            (inner, _) = wait(inner, &self.life, None, |inner| &mut inner.living);
        }
        inner.delivered()
    }

    /// The same for a task, which is woken when the connection is at its end; `None` until then.
    pub(crate) fn check_closed(&self, key: u64, waker: &Waker) -> Option<Result<(), Error>> {
        let mut inner = self.lock();
        if matches!(inner.phase, Phase::Closed(_)) {
            return Some(inner.delivered());
        }
        inner.living.enlist(key, waker);
        None
    }

    /// The task under `key` waits for nothing any more.
    pub(crate) fn dismiss(&self, key: u64) {
        let mut inner = self.lock();
        inner.reading.dismiss(key);
        inner.writing.dismiss(key);
        inner.living.dismiss(key);
    }

    /// Nobody holds the socket any more: nobody is to be told anything.
    pub(crate) fn abandon(self: &Arc<Self>) {
        Registration::end_all(std::mem::take(&mut self.lock().watchers));
        self.close(false);
    }

    pub(crate) fn state(&self) -> State {
        match self.lock().phase {
            Phase::Connecting => State::Connecting,
            Phase::Connected => State::Connected,
            Phase::Ending(_) => State::Broken,
            Phase::Closing => State::Closing,
            Phase::Closed(_) => State::Closed,
        }
    }

    pub(crate) fn close_reason(&self) -> Option<ConnectionError> {
        match self.lock().phase {
            Phase::Ending(reason) | Phase::Closed(reason) => Some(reason),
            Phase::Connecting | Phase::Connected | Phase::Closing => None,
        }
    }

    pub(crate) const fn id(&self) -> SocketId {
        self.id
    }

    pub(crate) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.lock().local
    }

    pub(crate) fn negotiated(&self) -> Option<Arc<Negotiated>> {
        self.lock().negotiated.clone()
    }

    pub(crate) fn message_max(&self) -> usize {
        self.lock().message_max
    }

    pub(crate) fn stream_id(&self) -> Vec<u8> {
        let inner = self.lock();
        let ours = || inner.config.stream_id().to_vec();
        inner.negotiated.as_ref().map_or_else(ours, |negotiated| negotiated.stream_id.clone())
    }

    /// The figures as of some milliseconds ago, or the last ones if the connection is at its end.
    pub(crate) fn stats(&self, clear: bool, instantaneous: bool) -> Stats {
        let mut figures = self.figures();
        let Figures { snapshot: Some(snapshot), interval, last } = &mut *figures else {
            return Stats::default();
        };
        let now = if *last { snapshot.at() } else { time_now() };
        interval.stats(snapshot, now, clear, instantaneous)
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keys(&self) -> KeyReport {
        self.figures().snapshot.as_ref().map(|now| now.keys()).unwrap_or_default()
    }

    pub(crate) fn option(self: &Arc<Self>, option: SocketOption) -> Result<OptionValue, ConfigError> {
        if option == SocketOption::RcvData {
            let held = self.figures().snapshot.as_ref().map_or(0, |now| now.receive_buffer_packets());
            let unread = u64::try_from(self.unread.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
            return Ok(facts::count(held.saturating_add(unread)));
        }
        let state = self.state();
        let readiness = self.readiness();
        let published =
            self.figures().snapshot.as_ref().map(|now| (now.keys().send_state, now.keys().receive_state));
        let inner = self.lock();
        let keys = published.or_else(|| inner.negotiated.as_deref().map(|agreed| agreed.km_states));
        if let Some(value) = keys.and_then(|keys| facts::km_state(option, inner.config.sender(), keys)) {
            return Ok(value);
        }
        let waiting = u64::from(inner.config.send_buffer_packets()).saturating_sub(inner.room as u64);
        match option {
            SocketOption::State => Ok(facts::state(state, readiness.error)),
            SocketOption::Event => Ok(facts::event(readiness)),
            SocketOption::SndData if matches!(inner.phase, Phase::Connected) => Ok(facts::count(waiting)),
            SocketOption::SndData => Ok(facts::count(0)),
            _ => match inner.negotiated.as_deref().and_then(|agreed| facts::agreed(option, agreed)) {
                Some(value) => Ok(value),
                None => inner.config.get(option).or_else(|error| facts::before(option).ok_or(error)),
            },
        }
    }

    pub(crate) fn set_option(
        self: &Arc<Self>,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let mut inner = self.lock();
        if let Phase::Closed(reason) = inner.phase {
            return Err(Error::Closed(reason));
        }
        inner.config.set_in(Stage::Active, option, value.clone())?;
        drop(inner);
        if !facts::is_of_the_call(option) {
            // Whatever is sent after this is sent after the change.
            let command = Command::Set { handover: Arc::clone(self), option, value };
            self.inbox.send(command).map_err(|_| Error::RuntimeDown)?;
        }
        Ok(())
    }

    /// Tries `attempt`, again and again while it says that there is no room.
    fn write<T>(
        self: &Arc<Self>,
        patience: Patience<'_>,
        mut attempt: impl FnMut(&mut Inner) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut inner = self.lock();
        let mut until = None;
        loop {
            let result = attempt(&mut inner);
            let blocked = matches!(result, Err(Error::WouldBlock));
            inner.wants_room |= blocked || inner.room == 0;
            // An error that is not lack of room leaves the worker nothing to do.
            let fetch = (blocked || result.is_ok()) && !std::mem::replace(&mut inner.touched, true);
            if !blocked || !self.may_wait(&mut inner, patience, true) {
                drop(inner);
                if fetch {
                    self.inbox.touch(self);
                }
                return result;
            }
            if fetch {
                self.inbox.touch(self);
            }
            let until = *until.get_or_insert_with(|| deadline(duration(inner.config.send_timeout())));
            let in_time;
            self.check_process()?;
            (inner, in_time) = wait(inner, &self.writers, until, |inner| &mut inner.writing);
            if !in_time {
                return Err(Error::Timeout { what: "send" });
            }
        }
    }

    /// Tries `attempt`, again and again while it finds nothing and more may come.
    fn read<T>(
        self: &Arc<Self>,
        patience: Patience<'_>,
        mut attempt: impl FnMut(&mut Inner) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let mut inner = self.lock();
        let mut until = None;
        loop {
            if let Some(taken) = attempt(&mut inner)? {
                let left = inner.incoming.len();
                self.unread.store(left, Ordering::Relaxed);
                // Half of what may wait is gone: the worker goes on handing over.
                let resume = inner.paused && left <= self.unread_most / 2;
                inner.paused &= !resume;
                let fetch = resume && !std::mem::replace(&mut inner.touched, true);
                drop(inner);
                if fetch {
                    self.inbox.touch(self);
                }
                return Ok(taken);
            }
            match inner.phase {
                Phase::Connecting => return Err(Error::NotConnected),
                Phase::Closing => return Err(Error::Closed(ConnectionError::Closed)),
                Phase::Closed(reason) => return Err(Error::Closed(reason)),
                Phase::Connected | Phase::Ending(_) => {}
            }
            if !self.may_wait(&mut inner, patience, false) {
                return Err(Error::WouldBlock);
            }
            let until = *until.get_or_insert_with(|| deadline(duration(inner.config.receive_timeout())));
            let in_time;
            self.check_process()?;
            (inner, in_time) = wait(inner, &self.readers, until, |inner| &mut inner.reading);
            if !in_time {
                return Err(Error::Timeout { what: "receive" });
            }
        }
    }

    /// In a child made by a fork nobody serves the connection, and a wait would have no end.
    fn check_process(&self) -> Result<(), Error> {
        if self.inbox.is_foreign() { Err(Error::RuntimeDown) } else { Ok(()) }
    }

    /// Whether the calling thread may wait. A task that would wait is put down to be woken.
    fn may_wait(&self, inner: &mut Inner, patience: Patience<'_>, write: bool) -> bool {
        match (patience, write) {
            (Patience::None, _) => false,
            (Patience::AsConfigured, true) => inner.config.send_blocking(),
            (Patience::AsConfigured, false) => inner.config.receive_blocking(),
            (Patience::Task { key, waker }, true) => {
                inner.writing.enlist(key, waker);
                false
            }
            (Patience::Task { key, waker }, false) => {
                inner.reading.enlist(key, waker);
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker's side. No call waits for the application longer than a lock is held; whom to call goes to `calls`.
impl Handover {
    pub(super) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(super) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// How many messages the hand-over takes now.
    pub(super) fn receive_room(&self) -> usize {
        self.unread_most.saturating_sub(self.unread.load(Ordering::Relaxed))
    }

    /// Takes away what is to be sent. `feed` must be empty, and `space` is what the connection takes before that.
    pub(super) fn fetch(&self, feed: &mut Feed, space: usize, calls: &mut Calls) -> Fetched {
        debug_assert!(feed.is_empty(), "what was fetched before was fed");
        let mut inner = self.lock();
        std::mem::swap(&mut inner.outgoing, feed);
        inner.touched = false;
        self.tell_room(&mut inner, space.saturating_sub(feed.len()), calls);
        Fetched { room: inner.room, wants_room: inner.wants_room }
    }

    /// Tells the application that the connection takes `space` packets now.
    pub(super) fn offer(&self, space: usize, calls: &mut Calls) -> Fetched {
        let mut inner = self.lock();
        let room = space.saturating_sub(inner.outgoing.len());
        self.tell_room(&mut inner, room, calls);
        Fetched { room: inner.room, wants_room: inner.wants_room }
    }

    /// Publishes how the connection stands; false if somebody is looking at the figures just now.
    pub(super) fn publish(&self, snapshot: impl FnOnce() -> Snapshot) -> bool {
        let mut figures = match self.figures.try_lock() {
            Ok(figures) => figures,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        match &mut figures.snapshot {
            Some(old) => **old = snapshot(),
            none => *none = Some(Box::new(snapshot())),
        }
        true
    }

    /// Hands over what is due.
    pub(super) fn deliver(&self, parcel: &mut Parcel, calls: &mut Calls) {
        let mut inner = self.lock();
        if inner.phase == Phase::Closing {
            parcel.clear();
            return;
        }
        inner.incoming.append(parcel);
        let unread = inner.incoming.len();
        self.unread.store(unread, Ordering::Relaxed);
        inner.paused = unread >= self.unread_most;
        inner.reading.wake(&self.readers, calls);
        inner.raise(calls);
    }

    /// The connection stands.
    pub(super) fn set_connected(
        &self,
        negotiated: Negotiated,
        local: SocketAddr,
        space: usize,
        calls: &mut Calls,
    ) {
        let mut inner = self.lock();
        inner.local = local;
        inner.next_seq = negotiated.send_isn;
        inner.message_max = negotiated.payload_size;
        inner.negotiated = Some(Arc::new(negotiated));
        inner.room = space;
        if inner.phase == Phase::Connecting {
            inner.phase = Phase::Connected;
        }
        self.call_everybody(&mut inner, calls);
    }

    /// The peer is gone.
    pub(super) fn set_ending(&self, reason: ConnectionError, calls: &mut Calls) {
        let mut inner = self.lock();
        if matches!(inner.phase, Phase::Connecting | Phase::Connected) {
            inner.phase = Phase::Ending(reason);
            inner.writing.wake(&self.writers, calls);
            inner.raise(calls);
        }
    }

    /// The peer has reported an error of its own: the next call to send fails.
    pub(super) fn set_peer_error(&self, code: u32, calls: &mut Calls) {
        let mut inner = self.lock();
        inner.peer_error = Some(code);
        inner.writing.wake(&self.writers, calls);
        inner.raise(calls);
    }

    /// The connection is over.
    pub(super) fn set_closed(
        &self,
        reason: ConnectionError,
        unconfirmed: u64,
        last: Option<Snapshot>,
        calls: &mut Calls,
    ) {
        if let Some(last) = last {
            let mut figures = self.figures();
            figures.snapshot = Some(Box::new(last));
            figures.last = true;
        }
        let mut inner = self.lock();
        // The first reason is the cause of the others.
        inner.phase = match inner.phase {
            Phase::Ending(first) | Phase::Closed(first) => Phase::Closed(first),
            Phase::Connecting | Phase::Connected | Phase::Closing => Phase::Closed(reason),
        };
        inner.unconfirmed = unconfirmed;
        inner.outgoing = Feed::default();
        inner.room = 0;
        self.call_everybody(&mut inner, calls);
    }

    /// Tells the room, and whoever waits for it.
    fn tell_room(&self, inner: &mut Inner, room: usize, calls: &mut Calls) {
        inner.room = room;
        if room > 0 && inner.wants_room {
            inner.wants_room = false;
            inner.writing.wake(&self.writers, calls);
            inner.raise(calls);
        }
    }

    /// Wakes all who wait for anything, for everything may be different now.
    fn call_everybody(&self, inner: &mut Inner, calls: &mut Calls) {
        inner.reading.wake(&self.readers, calls);
        inner.writing.wake(&self.writers, calls);
        inner.living.wake(&self.life, calls);
        inner.raise(calls);
    }
}

/// The poller's side.
impl Watched for Handover {
    fn readiness(&self) -> Readiness {
        let inner = self.lock();
        let closed = matches!(inner.phase, Phase::Closed(_) | Phase::Closing);
        let failed = match inner.phase {
            Phase::Ending(reason) | Phase::Closed(reason) => {
                !matches!(reason, ConnectionError::PeerShutdown | ConnectionError::Closed)
            }
            _ => false,
        };
        Readiness {
            readable: !inner.incoming.is_empty() || closed,
            writable: closed || !matches!(inner.check_room(), Err(Error::WouldBlock | Error::NotConnected)),
            error: failed,
            closed,
        }
    }

    fn watch(&self, registration: Arc<Registration>) {
        let mut inner = self.lock();
        // The state may hold already.
        registration.raise();
        Registration::enlist(&mut inner.watchers, registration);
    }

    fn unwatch(&self, registered: &dyn Fn(&Registration) -> bool) {
        self.lock().watchers.retain(|known| !registered(known));
    }
}

impl Inner {
    /// Gives a message its numbers and appends it to what the worker will fetch.
    fn append(&mut self, message: &Message<'_>, now: Instant) -> Result<Sent, Error> {
        let len = message.data.len();
        if len == 0 {
            return Err(Error::Empty);
        }
        if len > self.message_max {
            return Err(Error::TooLarge { len, max: self.message_max });
        }
        if let Some(code) = self.peer_error.take() {
            return Err(Error::Peer { code });
        }
        self.check_room()?;
        let sent = Sent::new(self.next_seq, self.next_msgno, message.source_time.unwrap_or(now));
        self.next_seq = self.next_seq.next();
        self.next_msgno = self.next_msgno.next();
        self.room -= 1;
        self.outgoing.push(message, sent);
        Ok(sent)
    }

    /// Whether an orderly end delivered what was sent before.
    const fn delivered(&self) -> Result<(), Error> {
        match self.unconfirmed {
            0 => Ok(()),
            packets => Err(Error::Unconfirmed { packets }),
        }
    }

    /// Whether a message may be appended now.
    const fn check_room(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Connected if self.room > 0 => Ok(()),
            Phase::Connected => Err(Error::WouldBlock),
            Phase::Connecting => Err(Error::NotConnected),
            Phase::Closing => Err(Error::Closed(ConnectionError::Closed)),
            Phase::Ending(reason) | Phase::Closed(reason) => Err(Error::Closed(reason)),
        }
    }

    /// Whether the connection stands; [`Error::NotConnected`] while that is open.
    const fn connected(&self, peer: SocketAddr) -> Result<(), Error> {
        match self.phase {
            Phase::Connecting => Err(Error::NotConnected),
            Phase::Connected | Phase::Ending(_) => Ok(()),
            Phase::Closing => Err(Error::Closed(ConnectionError::Closed)),
            // What we did ourselves is no failure of the call.
            Phase::Closed(reason)
                if self.negotiated.is_some() || matches!(reason, ConnectionError::Closed) =>
            {
                Err(Error::Closed(reason))
            }
            Phase::Closed(reason) => Err(Error::Connect { peer, reason }),
        }
    }

    /// Tells the pollers that it is worth looking.
    fn raise(&self, calls: &mut Calls) {
        calls.raise(&self.watchers);
    }
}

/// The hand-over holds at most this part of the receive buffer beyond the buffer itself.
const RECEIVE_SHARE: usize = 8;
/// Messages that the hand-over holds at most, however large the receive buffer: enough for a millisecond at 10 Gb/s.
const UNREAD_MOST: usize = 1_024;
/// Messages that it holds at least.
const UNREAD_LEAST: usize = 8;
