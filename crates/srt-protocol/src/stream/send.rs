//! Messages become numbered packets, kept until acknowledged or too late (draft §4.2, §4.6).

use super::slots::Slots;
use crate::{
    packet::Boundary,
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, Timestamp},
};

/// What an application sends in one call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Message<'a> {
    /// The payload: at most PAYLOADSIZE bytes in live mode.
    pub data: &'a [u8],
    /// When the data came into being, on the connection's clock; the moment of the call where it is not given.
    ///
    /// Decides when the receiver plays it. It may not lie before the connection's start.
    #[doc(alias = "srctime")]
    pub source_time: Option<Instant>,
    /// How long the message may wait to be sent for the first time; for ever where it is not given.
    #[doc(alias = "msgttl")]
    pub ttl: Option<Micros>,
    /// The receiver may not hand it out before its predecessors. Without meaning while TSBPD orders by time.
    pub in_order: bool,
}

impl<'a> Message<'a> {
    /// A message with neither source time nor time to live.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, source_time: None, ttl: None, in_order: false }
    }

    /// The same with a source time.
    #[must_use]
    pub const fn at(mut self, source_time: Instant) -> Self {
        self.source_time = Some(source_time);
        self
    }

    /// The same with a time to live.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Micros) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// What became of a message that was taken: its numbers and time on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Number of the (first) packet.
    pub seq: SeqNumber,
    /// Number of the message.
    pub msgno: MsgNumber,
    /// The time it was stamped with.
    pub source_time: Instant,
}

impl Sent {
    /// Numbers and time of a message.
    #[must_use]
    pub const fn new(seq: SeqNumber, msgno: MsgNumber, source_time: Instant) -> Self {
        Self { seq, msgno, source_time }
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The buffer is full; some room comes with the next acknowledgement.
    #[error("the send buffer is full")]
    Full,
    /// Longer than a packet may be.
    #[error(
        "a message of {len} bytes is longer than the payload size of {max}; send less or raise PAYLOADSIZE"
    )]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// Bytes taken.
        max: usize,
    },
    /// Nothing to send.
    #[error("a message needs at least one byte")]
    Empty,
}

/// A packet in the send buffer: all of its header that does not depend on the link.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// Number of its message.
    pub msgno: MsgNumber,
    /// Its place in the message.
    pub boundary: Boundary,
    /// The O flag.
    pub in_order: bool,
    /// Its stamp.
    pub timestamp: Timestamp,
    /// The time the stamp stands for.
    pub origin: Instant,
    /// When it is no more worth a first transmission.
    pub expires: Option<Instant>,
}

/// What the send buffer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendCounters {
    /// Packets given up before they were acknowledged.
    pub dropped_packets: u64,
    /// Payload bytes of those.
    pub dropped_bytes: u64,
}

/// The packets that are numbered and not yet done with.
#[derive(Debug)]
pub struct SendBuffer {
    slots: Slots<Outgoing>,
    /// Number of the packet at `position`.
    first: SeqNumber,
    position: u64,
    end: u64,
    capacity: usize,
    next_msgno: MsgNumber,
    epoch: Instant,
    counters: SendCounters,
}

impl SendBuffer {
    /// An empty buffer that starts numbering at `isn` and whose timestamps count from `epoch`.
    ///
    /// `capacity` is in packets, `payload_size` in bytes.
    #[must_use]
    pub fn new(isn: SeqNumber, epoch: Instant, capacity: usize, payload_size: usize) -> Self {
        Self {
            slots: Slots::new(capacity, payload_size),
            first: isn,
            position: 0,
            end: 0,
            capacity,
            next_msgno: MsgNumber::FIRST,
            epoch,
            counters: SendCounters::default(),
        }
    }

    /// Numbers, stamps and keeps one message.
    ///
    /// # Errors
    /// [`PushError`]: full, too long, or empty; nothing is taken then.
    pub fn push(&mut self, now: Instant, message: Message<'_>) -> Result<Sent, PushError> {
        let len = message.data.len();
        if len == 0 {
            return Err(PushError::Empty);
        }
        if len > self.slots.slot_size() {
            return Err(PushError::TooLarge { len, max: self.slots.slot_size() });
        }
        if self.free() == 0 {
            return Err(PushError::Full);
        }
        let origin = message.source_time.unwrap_or(now).max(self.epoch);
        let outgoing = Outgoing {
            msgno: self.next_msgno,
            boundary: Boundary::Solo,
            in_order: message.in_order,
            timestamp: Timestamp::from_elapsed(origin.saturating_since(self.epoch)),
            origin,
            expires: message.ttl.map(|ttl| now + ttl),
        };
        let sent = Sent { seq: self.next(), msgno: self.next_msgno, source_time: origin };
        if self.slots.insert(self.end, outgoing, message.data).is_err() {
            return Err(PushError::Full);
        }
        self.end += 1;
        self.next_msgno = self.next_msgno.next();
        Ok(sent)
    }

    /// Number of the oldest packet kept; [`next`](Self::next) where there is none.
    #[must_use]
    pub const fn first(&self) -> SeqNumber {
        self.first
    }

    /// Number of the packet that comes next.
    #[must_use]
    pub fn next(&self) -> SeqNumber {
        self.first + span(self.end - self.position)
    }

    /// Number of the message that comes next.
    #[must_use]
    pub const fn next_msgno(&self) -> MsgNumber {
        self.next_msgno
    }

    /// Packets kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// True where nothing is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Payload bytes kept.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Packets there is room for.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.capacity.saturating_sub(self.slots.len())
    }

    /// The longest payload taken, in bytes.
    #[must_use]
    pub const fn payload_size(&self) -> usize {
        self.slots.slot_size()
    }

    /// Memory held for payloads, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.slots.memory()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> SendCounters {
        self.counters
    }

    /// Time zero of the timestamps.
    #[must_use]
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// A packet and its payload, while it is kept.
    #[must_use]
    pub fn packet(&self, seq: SeqNumber) -> Option<(&Outgoing, &[u8])> {
        self.slots.get(self.position_of(seq)?)
    }

    /// Time from the oldest to the newest packet kept.
    #[must_use]
    pub fn time_span(&self) -> Micros {
        let oldest = self.slots.get(self.position).map(|(packet, _)| packet.origin);
        let newest =
            self.end.checked_sub(1).and_then(|last| self.slots.get(last)).map(|(packet, _)| packet.origin);
        oldest.zip(newest).map_or(Micros::ZERO, |(oldest, newest)| newest.saturating_since(oldest))
    }

    /// The stream rests: memory that is not in use is given back.
    pub fn trim(&mut self) {
        self.slots.trim();
    }

    /// Lets go of all packets before `next`; tells how many packets and payload bytes.
    pub fn release(&mut self, next: SeqNumber) -> (usize, usize) {
        let Ok(distance) = u64::try_from(next.distance_from(self.first)) else { return (0, 0) };
        let target = (self.position + distance).min(self.end);
        let gone = self.slots.advance(target);
        self.first += span(target - self.position);
        self.position = target;
        gone
    }

    /// Gives up all packets before `next`, and counts them as dropped.
    pub fn give_up(&mut self, next: SeqNumber) -> (usize, usize) {
        let gone = self.release(next);
        self.counters.dropped_packets += gone.0 as u64;
        self.counters.dropped_bytes += gone.1 as u64;
        gone
    }

    /// Number after the last packet, counted from the oldest, whose origin lies before `limit`.
    #[must_use]
    pub fn older_than(&self, limit: Instant) -> Option<SeqNumber> {
        let mut position = self.position;
        while position < self.end && self.slots.get(position).is_none_or(|(packet, _)| packet.origin < limit)
        {
            position += 1;
        }
        (position > self.position).then(|| self.first + span(position - self.position))
    }

    fn position_of(&self, seq: SeqNumber) -> Option<u64> {
        Some(self.position + u64::try_from(seq.distance_from(self.first)).ok()?)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "spans within the buffer are below 2^30")]
const fn span(positions: u64) -> u32 {
    positions as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(capacity: usize) -> SendBuffer {
        SendBuffer::new(SeqNumber::new(0x7FFF_FFFE), Instant::from_micros(1_000), capacity, 100)
    }

    #[test]
    fn packets_are_numbered_through_the_wrap() {
        let mut buffer = buffer(10);
        let seqs: Vec<u32> = (0..4_u8)
            .map(|n| buffer.push(Instant::from_micros(2_000), Message::new(&[n])).unwrap().seq.value())
            .collect();
        assert_eq!(seqs, [0x7FFF_FFFE, 0x7FFF_FFFF, 0, 1]);
        assert_eq!(buffer.packet(SeqNumber::new(0)).unwrap().1, [2]);
        assert_eq!(buffer.release(SeqNumber::new(0)), (2, 2));
        assert_eq!(buffer.first(), SeqNumber::new(0));
        assert!(buffer.packet(SeqNumber::new(0x7FFF_FFFF)).is_none());
    }

    #[test]
    fn a_full_buffer_takes_nothing_and_a_release_makes_room() {
        let mut buffer = buffer(2);
        let now = Instant::from_micros(2_000);
        let first = buffer.push(now, Message::new(b"a")).unwrap();
        buffer.push(now, Message::new(b"b")).unwrap();
        assert_eq!(buffer.push(now, Message::new(b"c")), Err(PushError::Full));
        buffer.release(first.seq.next());
        assert_eq!(buffer.push(now, Message::new(b"c")).unwrap().msgno.value(), 3);
    }

    #[test]
    fn messages_that_do_not_fit_are_refused_by_length() {
        let mut buffer = buffer(2);
        let now = Instant::from_micros(2_000);
        assert_eq!(buffer.push(now, Message::new(&[])), Err(PushError::Empty));
        assert_eq!(
            buffer.push(now, Message::new(&[0; 101])),
            Err(PushError::TooLarge { len: 101, max: 100 })
        );
    }

    #[test]
    fn a_release_beyond_the_end_stops_at_the_end() {
        let mut buffer = buffer(5);
        buffer.push(Instant::from_micros(2_000), Message::new(b"a")).unwrap();
        assert_eq!(buffer.release(SeqNumber::new(50)), (1, 1));
        assert_eq!(buffer.next(), SeqNumber::new(0x7FFF_FFFF));
    }

    #[test]
    fn what_is_older_is_told_by_origin() {
        let mut buffer = buffer(5);
        for ms in [10, 20, 30] {
            buffer.push(Instant::from_micros(ms * 1_000), Message::new(b"a")).unwrap();
        }
        assert_eq!(buffer.older_than(Instant::from_micros(10_000)), None);
        assert_eq!(buffer.older_than(Instant::from_micros(25_000)), Some(SeqNumber::new(0)));
        assert_eq!(buffer.time_span(), Micros::from_millis(20));
        buffer.give_up(SeqNumber::new(0));
        assert_eq!(buffer.counters(), SendCounters { dropped_packets: 2, dropped_bytes: 2 });
    }

    #[test]
    fn a_source_time_before_the_start_is_taken_as_the_start() {
        let mut buffer = buffer(5);
        let message = Message::new(b"a").at(Instant::from_micros(1));
        let sent = buffer.push(Instant::from_micros(9_000), message).unwrap();
        assert_eq!(sent.source_time, Instant::from_micros(1_000));
        assert_eq!(buffer.packet(sent.seq).unwrap().0.timestamp.value(), 0);
    }
}
