//! A connection, or a group, as its worker serves it: what it does when its turn comes.

use std::{net::IpAddr, sync::Arc};

use srt_bonding::{Down as LinkDown, Event as GroupEvent, LinkId};
use srt_protocol::{
    config::{ConfigError, OptionValue, SocketOption},
    connection::{Connection, ConnectionError, Event, Negotiated, RecvError, SendError, State},
    link::{Deadline, Timer},
    stats::Snapshot,
    stream::{Message, Received, Sent},
    time::{Instant, Micros},
    types::SocketId,
};

use super::{
    bond::{Bond, LinkPlan, Way},
    handover::{Fetched, Handover},
    listening::Listening,
    parcel::{Feed, Parcel},
    port::Lease,
    slab::Slab,
    waiters::Calls,
    wire::{Spares, Wire},
};

/// What carries a stream.
#[derive(Debug)]
pub(super) enum Machine {
    /// One link, by the port that the worker keeps there, with the right to it.
    One { connection: Box<Connection>, port: u32, lease: Lease },
    /// Several.
    Many(Box<Bond>),
}

/// A connection or group of a worker.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) machine: Machine,
    pub(super) handover: Arc<Handover>,
    /// Who is to be offered the connection once it stands.
    pub(super) listening: Option<Arc<Listening>>,
    /// Our address as far as datagrams have told it.
    pub(super) local_ip: Option<IpAddr>,
    /// It has its turn before the worker sleeps.
    pub(super) due: bool,
    /// The application has touched the hand-over.
    pub(super) touched: bool,
    /// What the application knows of the room in the send buffer.
    room: Fetched,
    /// Packets the send buffer has room for when it is empty.
    room_most: usize,
    /// When something left last.
    sent_at: Instant,
    /// When the figures were published last.
    published_at: Option<Instant>,
    /// They could not be: somebody was looking at them.
    unpublished: bool,
    /// Messages that were handed over, and that the connection did not take any more.
    pub(super) unsent: u64,
}

/// What all connections of a worker use in turn.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub(super) spares: Spares,
    /// Whom to call when no lock is held.
    pub(super) calls: Calls,
    /// A stream had to wait for its pacing.
    pub(super) paced: bool,
    /// Bytes received and sent in this turn of the worker.
    pub(super) moved: usize,
    /// Links of groups that are to be opened.
    pub(super) wanted: Vec<(Arc<Handover>, LinkId, LinkPlan, usize)>,
    /// Ways of links that are no more.
    pub(super) closed: Vec<Way>,
    feed: Feed,
    parcel: Parcel,
}

impl Machine {
    /// The worker's place of the first, second, … port that it sends by.
    pub(super) fn port(&self, index: usize) -> Option<u32> {
        match self {
            Self::One { port, .. } => (index == 0).then_some(*port),
            Self::Many(bond) => bond.ways.get(index).map(|way| way.port),
        }
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, socket: SocketId, datagram: &[u8]) {
        match self {
            Self::One { connection, .. } => connection.handle_datagram(now, datagram),
            Self::Many(bond) => bond.group.handle_datagram(now, socket, datagram),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::One { connection, .. } => connection.handle_timeout(now),
            Self::Many(bond) => bond.group.handle_timeout(now),
        }
    }

    pub(super) fn set_option(
        &mut self,
        now: Instant,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), ConfigError> {
        match self {
            Self::One { connection, .. } => connection.set_option(now, option, value),
            Self::Many(bond) => bond.group.set_option(now, option, value),
        }
    }

    pub(super) fn unconfirmed(&self) -> u64 {
        match self {
            Self::One { connection, .. } => connection.unconfirmed(),
            Self::Many(bond) => bond.group.unconfirmed(),
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        match self {
            Self::One { connection, .. } => connection.snapshot(now),
            Self::Many(bond) => bond.group.snapshot(now),
        }
    }

    pub(super) fn close_reason(&self) -> Option<ConnectionError> {
        match self {
            Self::One { connection, .. } => connection.close_reason(),
            Self::Many(bond) => bond.group.close_reason(),
        }
    }

    fn close(&mut self, now: Instant, abort: bool) {
        match (self, abort) {
            (Self::One { connection, .. }, true) => connection.abort(now),
            (Self::One { connection, .. }, false) => connection.close(now),
            (Self::Many(bond), true) => bond.group.abort(now),
            (Self::Many(bond), false) => bond.group.close(now),
        }
    }

    fn send(&mut self, now: Instant, message: Message<'_>) -> Result<Sent, SendError> {
        match self {
            Self::One { connection, .. } => connection.send(now, message),
            Self::Many(bond) => bond.group.send(now, message),
        }
    }

    fn recv(&mut self, now: Instant, into: &mut Vec<u8>) -> Result<Received, RecvError> {
        match self {
            Self::One { connection, .. } => connection.recv(now, into),
            Self::Many(bond) => bond.group.recv(now, into),
        }
    }

    fn state(&self) -> State {
        match self {
            Self::One { connection, .. } => connection.state(),
            Self::Many(bond) => bond.group.state(),
        }
    }

    fn send_space(&self) -> usize {
        match self {
            Self::One { connection, .. } => connection.send_space(),
            Self::Many(bond) => bond.group.send_space(),
        }
    }

    fn next_delivery(&self) -> Option<Instant> {
        match self {
            Self::One { connection, .. } => connection.next_delivery(),
            Self::Many(bond) => bond.group.next_delivery(),
        }
    }

    fn next_timeout(&self) -> Option<Deadline> {
        match self {
            Self::One { connection, .. } => connection.next_timeout(),
            Self::Many(bond) => bond.group.next_timeout(),
        }
    }

    fn negotiated(&self) -> Option<&Negotiated> {
        match self {
            Self::One { connection, .. } => connection.negotiated(),
            Self::Many(bond) => bond.group.negotiated(),
        }
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing to be done until then.
    Sleep(Option<Instant>),
    /// It could go on at once, and shall let others have their turn first.
    Again,
    /// It has something to send, and the system takes nothing now.
    Blocked(Option<Instant>, u32),
    /// It is over.
    Ended,
}

impl Carried {
    pub(super) const fn new(
        machine: Machine,
        handover: Arc<Handover>,
        listening: Option<Arc<Listening>>,
        local_ip: Option<IpAddr>,
    ) -> Self {
        Self {
            machine,
            handover,
            listening,
            local_ip,
            due: false,
            touched: false,
            room: Fetched { room: 0, wants_room: false },
            room_most: 0,
            sent_at: Instant::from_micros(0),
            published_at: None,
            unpublished: false,
            unsent: 0,
        }
    }

    /// Does all there is to do now.
    pub(super) fn turn(&mut self, now: Instant, wires: &mut Slab<Wire>, tools: &mut Tools) -> Outcome {
        self.events(now, wires, tools);
        if std::mem::take(&mut self.touched) {
            self.fetch(now, tools);
        }
        self.deliver(now, tools);
        let (drained, blocked) = self.transmit(now, wires, tools);
        self.offer_room(tools);
        self.events(now, wires, tools);
        if self.machine.state() == State::Closed {
            return Outcome::Ended;
        }
        self.publish(now);
        match (drained, blocked) {
            (true, _) => Outcome::Sleep(self.next(now, &mut tools.paced)),
            (false, None) => Outcome::Again,
            // Time goes on, but what it asks to send has to wait.
            (false, Some(port)) => {
                let next = self.next(now, &mut tools.paced).map(|at| at.max(now + BLOCKED_GRAIN));
                Outcome::Blocked(next, port)
            }
        }
    }

    /// Gives to the ports what is to leave. True where nothing more is; and the port that takes nothing now.
    fn transmit(&mut self, now: Instant, wires: &mut Slab<Wire>, tools: &mut Tools) -> (bool, Option<u32>) {
        let Tools { spares, moved, .. } = tools;
        match &mut self.machine {
            Machine::One { connection, port, .. } => {
                let Some(wire) = wires.get_mut(*port) else { return (true, None) };
                let drained = wire.transmit(TRAINS, spares, |_, batch| {
                    let transmit = connection.poll_transmit(now, batch)?;
                    self.sent_at = now;
                    *moved += transmit.len;
                    Some(transmit)
                });
                (drained, wire.is_blocked().then_some(*port))
            }
            Machine::Many(bond) => {
                for _ in 0..TRAINS_OF_GROUP {
                    let mut batch = spares.take();
                    let Some((socket, transmit)) = bond.group.poll_transmit(now, &mut batch) else {
                        spares.give(batch);
                        return (true, None);
                    };
                    self.sent_at = now;
                    *moved += transmit.len;
                    match bond.port_of(socket).and_then(|port| wires.get_mut(port)) {
                        Some(wire) => wire.push(transmit, batch, spares),
                        None => spares.give(batch),
                    }
                }
                (false, None)
            }
        }
    }

    /// Starts the end, with all that was handed over before.
    pub(super) fn close(&mut self, now: Instant, abort: bool, tools: &mut Tools) {
        self.fetch(now, tools);
        self.machine.close(now, abort);
    }

    /// Takes what the application sends, and gives it to the connection.
    pub(super) fn fetch(&mut self, now: Instant, tools: &mut Tools) {
        let Tools { feed, calls, .. } = tools;
        self.room = self.handover.fetch(feed, self.machine.send_space(), calls);
        while let Some((message, numbers)) = feed.first() {
            match self.machine.send(now, message) {
                Ok(sent) => {
                    debug_assert_eq!(
                        (sent.seq, sent.msgno),
                        (numbers.seq, numbers.msgno),
                        "one count of numbers"
                    );
                }
                Err(error) => {
                    // The connection has ended meanwhile: what was on its way is lost, as on any broken connection.
                    tracing::debug!(%error, messages = feed.len(), "not sent");
                    self.unsent += feed.len() as u64;
                    break;
                }
            }
            feed.drop_first();
        }
        feed.clear();
    }

    /// Hands over what is due, as far as the application has room.
    fn deliver(&mut self, now: Instant, tools: &mut Tools) {
        let Tools { parcel, calls, .. } = tools;
        let mut room = self.handover.receive_room();
        while room > 0 && self.machine.next_delivery().is_some_and(|at| at <= now) {
            match self.machine.recv(now, parcel.buffer()) {
                Ok(received) => parcel.note(received),
                // What was due was only a gap to be given up.
                Err(RecvError::Empty) => {}
                Err(_) => break,
            }
            room -= 1;
        }
        if !parcel.is_empty() {
            self.handover.deliver(parcel, calls);
        }
        if self.machine.state() == State::Broken && self.machine.next_delivery().is_none() {
            // All that a peer which is gone has left was handed out: the connection ends.
            self.machine.handle_timeout(now);
        }
    }

    /// Tells the application of room in the send buffer, where it waits for it or believes in far too little.
    fn offer_room(&mut self, tools: &mut Tools) {
        let space = self.machine.send_space();
        let much_more = self.room.room < self.room_most / 2 && space > self.room.room + self.room_most / 4;
        if space > self.room.room && self.room.wants_room || much_more {
            self.room = self.handover.offer(space, &mut tools.calls);
        }
    }

    /// Tells the application what has happened.
    fn events(&mut self, now: Instant, wires: &Slab<Wire>, tools: &mut Tools) {
        match &mut self.machine {
            Machine::One { .. } => self.events_of_one(wires, tools),
            Machine::Many(_) => self.events_of_group(now, wires, tools),
        }
    }

    fn events_of_one(&mut self, wires: &Slab<Wire>, tools: &mut Tools) {
        while let Machine::One { connection, .. } = &mut self.machine
            && let Some(event) = connection.poll_event()
        {
            let id = connection.id();
            match event {
                Event::Connected => self.connected(wires, tools),
                Event::PeerGone(reason) => self.handover.set_ending(reason, &mut tools.calls),
                Event::PeerError(code) => self.handover.set_peer_error(code, &mut tools.calls),
                Event::Closed(reason) => tracing::debug!(%id, %reason, "connection ended"),
                Event::Skipped(skipped) => {
                    tracing::debug!(%id, missing = skipped.missing, "TLPKTDROP, receiver");
                }
                Event::SendDropped(packets) => tracing::debug!(%id, packets, "TLPKTDROP, sender"),
                other => tracing::debug!(%id, ?other, "event"),
            }
        }
    }

    fn events_of_group(&mut self, now: Instant, wires: &Slab<Wire>, tools: &mut Tools) {
        while let Machine::Many(bond) = &mut self.machine
            && let Some(event) = bond.group.poll_event()
        {
            let id = self.handover.id();
            match &event {
                GroupEvent::Wanted(link) => {
                    if let Some((plan, tries)) = bond.plan(*link) {
                        tools.wanted.push((Arc::clone(&self.handover), *link, plan, tries));
                    }
                    continue;
                }
                GroupEvent::LinkDown(link, reason) => {
                    tracing::info!(%id, %link, %reason, "link down");
                    tools.closed.extend(bond.close(*link));
                    if *reason == LinkDown::Removed {
                        bond.forget(*link);
                    }
                }
                GroupEvent::LinkUp(link) => tracing::info!(%id, %link, "link up"),
                GroupEvent::PeerGone(reason) => self.handover.set_ending(*reason, &mut tools.calls),
                GroupEvent::PeerError(code) => self.handover.set_peer_error(*code, &mut tools.calls),
                other => tracing::debug!(%id, ?other, "group"),
            }
            let connected = event == GroupEvent::Connected;
            bond.publish();
            bond.tell(now, event);
            if connected {
                self.connected(wires, tools);
            }
        }
    }

    fn connected(&mut self, wires: &Slab<Wire>, tools: &mut Tools) {
        let Some(negotiated) = self.machine.negotiated().cloned() else { return };
        tracing::info!(id = %self.handover.id(), version = negotiated.peer_version, "connected");
        let port = match &self.machine {
            Machine::One { port, .. } => Some(*port),
            Machine::Many(bond) => bond.ways.first().map(|way| way.port),
        };
        // Where the system does not tell, the peer's view of our address is the next best.
        let ip = self.local_ip.or(Some(negotiated.our_ip));
        let local = port.and_then(|port| wires.get(port)).map(|wire| wire.local_addr(ip));
        let space = self.machine.send_space();
        self.room = Fetched { room: space, wants_room: false };
        self.room_most = space;
        let local = local.unwrap_or_else(|| self.handover.local());
        self.handover.set_connected(negotiated, local, space, &mut tools.calls);
        if let Some(listening) = self.listening.take()
            && !listening.offer(Arc::clone(&self.handover), &mut tools.calls)
        {
            self.handover.close(true);
        }
    }

    /// Publishes the figures: often enough while much happens, and always before a rest.
    fn publish(&mut self, now: Instant) {
        let fresh = self.published_at.is_some_and(|at| now < at + PUBLISH_PERIOD);
        let again_soon = || self.machine.next_timeout().is_some_and(|next| next.at < now + PUBLISH_PERIOD);
        if fresh && again_soon() || self.machine.negotiated().is_none() {
            return;
        }
        self.unpublished = !self.handover.publish(|| self.machine.snapshot(now));
        if !self.unpublished {
            self.published_at = Some(now);
        }
        if let Machine::Many(bond) = &self.machine {
            bond.publish();
        }
    }

    /// When its next turn is.
    fn next(&self, now: Instant, paced: &mut bool) -> Option<Instant> {
        let timeout = self.machine.next_timeout().map(|deadline| match deadline.timer {
            // At a high rate several packets leave together; at a low one the next is further away than this.
            Timer::Pacing => {
                *paced = true;
                deadline.at.max(self.sent_at + PACING_GRAIN)
            }
            _ => deadline.at,
        });
        let delivery = self.machine.next_delivery().filter(|_| self.handover.receive_room() > 0);
        let next = match (timeout, delivery) {
            (Some(timeout), Some(delivery)) => Some(timeout.min(delivery)),
            (timeout, delivery) => timeout.or(delivery),
        };
        let next = if self.unpublished {
            Some(next.map_or(now + PUBLISH_PERIOD, |at| at.min(now + PUBLISH_PERIOD)))
        } else {
            next
        };
        // All that was due has been done: what is due still is not worth a turn in the same microsecond.
        next.map(|at| at.max(now + LEAST_SLEEP))
    }
}

/// Trains of datagrams that one connection may send before others have their turn: some 500 packets.
const TRAINS: usize = 8;
/// The same of a group, whose links have their turns in it.
const TRAINS_OF_GROUP: usize = 32;
/// A paced stream sends at most this often, and all that has become due meanwhile. Far below the millisecond for which
/// credit is kept, so that no rate is lost.
const PACING_GRAIN: Micros = Micros::from_micros(250);
/// Time between two publications of the figures, while there is something to tell.
const PUBLISH_PERIOD: Micros = Micros::from_millis(50);
/// How often time is looked at while the system takes no datagrams.
const BLOCKED_GRAIN: Micros = Micros::from_millis(5);
/// The shortest sleep.
const LEAST_SLEEP: Micros = Micros::from_micros(10);
