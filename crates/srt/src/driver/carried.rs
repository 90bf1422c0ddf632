//! A connection as its worker serves it: what it does when its turn comes.

use std::{net::IpAddr, sync::Arc};

use srt_protocol::{
    connection::{Connection, Event, RecvError, State},
    link::Timer,
    time::{Instant, Micros},
};

use super::{
    handover::{Fetched, Handover},
    listening::Listening,
    parcel::{Feed, Parcel},
    port::Lease,
    waiters::Calls,
    wire::{Spares, Wire},
};

/// A connection of a worker.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) connection: Connection,
    pub(super) handover: Arc<Handover>,
    /// Where the worker keeps its port.
    pub(super) port: u32,
    /// Its right to the port.
    pub(super) lease: Lease,
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
    feed: Feed,
    parcel: Parcel,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing to be done until then.
    Sleep(Option<Instant>),
    /// It could go on at once, and shall let others have their turn first.
    Again,
    /// It has something to send, and the system takes nothing now.
    Blocked(Option<Instant>),
    /// It is over.
    Ended,
}

impl Carried {
    pub(super) const fn new(
        connection: Connection,
        handover: Arc<Handover>,
        port: u32,
        lease: Lease,
        listening: Option<Arc<Listening>>,
        local_ip: Option<IpAddr>,
    ) -> Self {
        Self {
            connection,
            handover,
            port,
            lease,
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
    pub(super) fn turn(&mut self, now: Instant, wire: &mut Wire, tools: &mut Tools) -> Outcome {
        self.events(wire, tools);
        if std::mem::take(&mut self.touched) {
            self.fetch(now, tools);
        }
        self.deliver(now, tools);
        let moved = &mut tools.moved;
        let drained = wire.transmit(TRAINS, &mut tools.spares, |_, batch| {
            let transmit = self.connection.poll_transmit(now, batch)?;
            self.sent_at = now;
            *moved += transmit.len;
            Some(transmit)
        });
        self.offer_room(tools);
        self.events(wire, tools);
        if self.connection.state() == State::Closed {
            return Outcome::Ended;
        }
        self.publish(now);
        match (drained, wire.is_blocked()) {
            (true, _) => Outcome::Sleep(self.next(now, &mut tools.paced)),
            (false, false) => Outcome::Again,
            // Time goes on, but what it asks to send has to wait.
            (false, true) => {
                Outcome::Blocked(self.next(now, &mut tools.paced).map(|at| at.max(now + BLOCKED_GRAIN)))
            }
        }
    }

    /// Starts the end, with all that was handed over before.
    pub(super) fn close(&mut self, now: Instant, abort: bool, tools: &mut Tools) {
        self.fetch(now, tools);
        if abort {
            self.connection.abort(now);
        } else {
            self.connection.close(now);
        }
    }

    /// Takes what the application sends, and gives it to the connection.
    pub(super) fn fetch(&mut self, now: Instant, tools: &mut Tools) {
        let Tools { feed, calls, .. } = tools;
        self.room = self.handover.fetch(feed, self.connection.send_space(), calls);
        while let Some((message, numbers)) = feed.first() {
            match self.connection.send(now, message) {
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
        while room > 0 && self.connection.next_delivery().is_some_and(|at| at <= now) {
            match self.connection.recv(now, parcel.buffer()) {
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
        if self.connection.state() == State::Broken && self.connection.next_delivery().is_none() {
            // All that a peer which is gone has left was handed out: the connection ends.
            self.connection.handle_timeout(now);
        }
    }

    /// Tells the application of room in the send buffer, where it waits for it or believes in far too little.
    fn offer_room(&mut self, tools: &mut Tools) {
        let space = self.connection.send_space();
        let much_more = self.room.room < self.room_most / 2 && space > self.room.room + self.room_most / 4;
        if space > self.room.room && self.room.wants_room || much_more {
            self.room = self.handover.offer(space, &mut tools.calls);
        }
    }

    /// Tells the application what has happened to the connection.
    fn events(&mut self, wire: &Wire, tools: &mut Tools) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Connected => self.connected(wire, tools),
                Event::PeerGone(reason) => self.handover.set_ending(reason, &mut tools.calls),
                Event::PeerError(code) => self.handover.set_peer_error(code, &mut tools.calls),
                Event::Closed(reason) => {
                    tracing::debug!(id = %self.connection.id(), %reason, "connection ended")
                }
                Event::Skipped(skipped) => {
                    tracing::debug!(id = %self.connection.id(), missing = skipped.missing, "TLPKTDROP, receiver");
                }
                Event::SendDropped(packets) => {
                    tracing::debug!(id = %self.connection.id(), packets, "TLPKTDROP, sender");
                }
                other => tracing::debug!(id = %self.connection.id(), ?other, "event"),
            }
        }
    }

    fn connected(&mut self, wire: &Wire, tools: &mut Tools) {
        let Some(negotiated) = self.connection.negotiated() else { return };
        tracing::info!(
            id = %self.connection.id(), peer = %self.connection.peer(), version = negotiated.peer_version, "connected"
        );
        // Where the system does not tell, the peer's view of our address is the next best.
        let local = wire.local_addr(self.local_ip.or(Some(negotiated.our_ip)));
        let space = self.connection.send_space();
        self.room = Fetched { room: space, wants_room: false };
        self.room_most = space;
        self.handover.set_connected(negotiated.clone(), local, space, &mut tools.calls);
        if let Some(listening) = self.listening.take()
            && !listening.offer(Arc::clone(&self.handover), &mut tools.calls)
        {
            self.handover.close(true);
        }
    }

    /// Publishes the figures: often enough while much happens, and always before a rest.
    fn publish(&mut self, now: Instant) {
        let fresh = self.published_at.is_some_and(|at| now < at + PUBLISH_PERIOD);
        let again_soon = || self.connection.next_timeout().is_some_and(|next| next.at < now + PUBLISH_PERIOD);
        if fresh && again_soon() || self.connection.negotiated().is_none() {
            return;
        }
        self.unpublished = !self.handover.publish(|| self.connection.snapshot(now));
        if !self.unpublished {
            self.published_at = Some(now);
        }
    }

    /// When its next turn is.
    fn next(&self, now: Instant, paced: &mut bool) -> Option<Instant> {
        let timeout = self.connection.next_timeout().map(|deadline| match deadline.timer {
            // At a high rate several packets leave together; at a low one the next is further away than this.
            Timer::Pacing => {
                *paced = true;
                deadline.at.max(self.sent_at + PACING_GRAIN)
            }
            _ => deadline.at,
        });
        let delivery = self.connection.next_delivery().filter(|_| self.handover.receive_room() > 0);
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
/// A paced stream sends at most this often, and all that has become due meanwhile. Far below the millisecond for which
/// credit is kept, so that no rate is lost.
const PACING_GRAIN: Micros = Micros::from_micros(250);
/// Time between two publications of the figures, while there is something to tell.
const PUBLISH_PERIOD: Micros = Micros::from_millis(50);
/// How often time is looked at while the system takes no datagrams.
const BLOCKED_GRAIN: Micros = Micros::from_millis(5);
/// The shortest sleep.
const LEAST_SLEEP: Micros = Micros::from_micros(10);
