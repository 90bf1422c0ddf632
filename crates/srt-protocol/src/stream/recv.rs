//! The receive ring: merge by number, play by time (draft §4.5, §4.6).

use super::{
    ranges::SeqRanges,
    slots::Slots,
    tsbpd::{PeerTime, Tsbpd},
};
use crate::{
    packet::{Boundary, DataHeader},
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, Timestamp},
};

/// First and last number of a run of packets.
pub type SeqRange = (SeqNumber, SeqNumber);

/// How a receive buffer works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReceiveParameters {
    /// Number of the first packet.
    pub isn: SeqNumber,
    /// Packets it holds.
    pub capacity: usize,
    /// The longest payload, in bytes.
    pub payload_size: usize,
    /// The play clock; without it a message is handed out as soon as it and all before it are there.
    pub tsbpd: Option<Tsbpd>,
    /// Give up what is missing when a later packet is due.
    pub tlpktdrop: bool,
}

impl ReceiveParameters {
    /// All of them.
    #[must_use]
    pub const fn new(
        isn: SeqNumber,
        capacity: usize,
        payload_size: usize,
        tsbpd: Option<Tsbpd>,
        tlpktdrop: bool,
    ) -> Self {
        Self { isn, capacity, payload_size, tsbpd, tlpktdrop }
    }
}

/// What became of a packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// It is kept.
    New,
    /// It was there already.
    Duplicate,
    /// Its place was played or given up, this much after its play time (zero without a play clock).
    Belated(Micros),
    /// It lies beyond what the buffer can hold, or is longer than a payload may be.
    NoRoom,
}

/// A message handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Its length in bytes.
    pub len: usize,
    /// Number of its (first) packet.
    pub seq: SeqNumber,
    /// Its own number.
    pub msgno: MsgNumber,
    /// When it was sent, on our clock: the play time less the latency.
    pub source_time: Instant,
    /// When it was to be handed out. Without a play clock, the moment it was.
    pub play_time: Instant,
}

/// A run of packets that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// First number.
    pub first: SeqNumber,
    /// Last number.
    pub last: SeqNumber,
    /// Packets of the run that never came.
    pub missing: u32,
}

/// What the receive buffer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiveCounters {
    /// Packets kept: each number once.
    pub unique_packets: u64,
    /// Payload bytes of those.
    pub unique_bytes: u64,
    /// Packets given up: missing when a later one was due, or part of a message that cannot be completed.
    pub dropped_packets: u64,
    /// Packets that came when their place was gone, or that were there already and acknowledged.
    pub belated_packets: u64,
    /// How much after their play time those came, in µs: a moving average, each new one weighs a fifth (libsrt: `CountIIR`).
    pub belated_us: u64,
    /// Packets that were there already.
    pub duplicate_packets: u64,
    /// Packets there was no room for.
    pub no_room_packets: u64,
}

/// Packets by number, from the next to be handed out to the newest.
#[derive(Debug)]
pub struct ReceiveBuffer {
    slots: Slots<Incoming>,
    /// Number of the next packet to hand out; its place is `position`.
    next: SeqNumber,
    position: u64,
    capacity: usize,
    tsbpd: Option<Tsbpd>,
    tlpktdrop: bool,
    /// What will not come, where nothing else moves on past it.
    abandoned: SeqRanges,
    skipped: Option<Skipped>,
    /// What lies before this place is there, or over.
    whole_to: u64,
    counters: ReceiveCounters,
}

#[derive(Clone, Copy, Debug)]
struct Incoming {
    msgno: MsgNumber,
    boundary: Boundary,
    time: PeerTime,
}

/// What stands at the head.
enum Head {
    Nothing,
    /// A whole message up to, not including, this position.
    Message(u64),
    /// Packets before this position will never make a message.
    Rubbish(u64),
    /// Something is missing before this position, where packets are.
    Gap(u64),
    /// The message goes on beyond what has come.
    Unfinished,
}

impl ReceiveBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new(parameters: ReceiveParameters) -> Self {
        let ReceiveParameters { isn, capacity, payload_size, tsbpd, tlpktdrop } = parameters;
        Self {
            slots: Slots::new(capacity, payload_size),
            next: isn,
            position: 0,
            whole_to: 0,
            capacity,
            tlpktdrop: tlpktdrop && tsbpd.is_some(),
            tsbpd,
            abandoned: SeqRanges::new(),
            skipped: None,
            counters: ReceiveCounters::default(),
        }
    }

    /// Begins anew with another sender, at `isn`: what is held is forgotten, and counted as dropped; what was counted stays.
    pub fn restart(&mut self, isn: SeqNumber, tsbpd: Option<Tsbpd>) {
        self.counters.dropped_packets += self.slots.len() as u64;
        self.position = self.slots.last_occupied().map_or(self.position, |last| last + 1);
        self.slots.advance(self.position);
        self.next = isn;
        self.tsbpd = tsbpd;
        self.abandoned = SeqRanges::new();
    }

    /// Whether a packet of this number would be news: not played or given up yet, and not there.
    #[must_use]
    pub fn wants(&self, seq: SeqNumber) -> bool {
        u64::try_from(seq.distance_from(self.next))
            .is_ok_and(|distance| !self.slots.contains(self.position + distance))
    }

    /// Puts the runs that are missing into `missing` (cleared first), lowest first, at most `most` of them; tells the number after the
    /// last that is accounted for by that: what lies before it and in no run is there.
    pub fn missing(&mut self, most: usize, missing: &mut Vec<SeqRange>) -> SeqNumber {
        missing.clear();
        let mut position = self.position.max(self.whole_to);
        while self.slots.contains(position) {
            position += 1;
        }
        self.whole_to = position;
        while let Some(occupied) = self.slots.next_occupied(position) {
            if occupied > position {
                if missing.len() == most {
                    break;
                }
                let number = |position: u64| self.next + narrow(position - self.position);
                missing.push((number(position), number(occupied - 1)));
            }
            position = occupied + 1;
            while self.slots.contains(position) {
                position += 1;
            }
        }
        self.next + narrow(position - self.position)
    }

    /// Whether there is a place for a packet of this number now.
    #[must_use]
    pub fn has_place(&self, seq: SeqNumber) -> bool {
        let distance = u64::try_from(seq.distance_from(self.next));
        distance.is_ok_and(|distance| self.slots.in_window(self.position + distance))
    }

    /// Takes a packet that came at `now`.
    pub fn insert(&mut self, now: Instant, header: &DataHeader, payload: &[u8]) -> Insertion {
        let fill = |slot: &mut [u8]| {
            slot.copy_from_slice(payload);
            Some(payload.len())
        };
        self.insert_with(now, header, payload.len(), fill).unwrap_or(Insertion::NoRoom)
    }

    /// Takes a packet that came at `now`, whose payload `fill` writes into the `room` bytes it gets, and tells the length of.
    /// `None`, and nothing has changed, where it tells none.
    ///
    /// Only for a packet that [`has_place`](Self::has_place): what `fill` refuses must move nothing.
    pub fn insert_with(
        &mut self,
        now: Instant,
        header: &DataHeader,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<Insertion> {
        let time = self.observe(header.timestamp);
        let Ok(distance) = u64::try_from(header.seq.distance_from(self.next)) else {
            return Some(Insertion::Belated(self.count_belated(now, time)));
        };
        let mut position = self.position + distance;
        if self.slots.contains(position) {
            self.counters.duplicate_packets += 1;
            return Some(Insertion::Duplicate);
        }
        if !self.slots.in_window(position) && self.slots.len() == 0 && self.tlpktdrop {
            // Nothing is held and the peer is far ahead (it dropped, or we were cut off): go on from there.
            self.skip_to(position);
            position = self.position;
        }
        let incoming = Incoming { msgno: header.msgno, boundary: header.boundary, time };
        let (mut refused, mut len) = (false, 0);
        let filled = |slot: &mut [u8]| {
            let filled = fill(slot);
            refused = filled.is_none();
            len = filled.unwrap_or(0);
            filled
        };
        if self.slots.insert_with(position, incoming, room, filled).is_err() {
            if refused {
                return None;
            }
            self.counters.no_room_packets += 1;
            return Some(Insertion::NoRoom);
        }
        self.counters.unique_packets += 1;
        self.counters.unique_bytes += len as u64;
        Some(Insertion::New)
    }

    /// A packet stamped `time` came for nothing; tells how late it is.
    fn count_belated(&mut self, now: Instant, time: PeerTime) -> Micros {
        let play_time = self.tsbpd.as_ref().map(|tsbpd| tsbpd.play_time(time));
        let late = play_time.map_or(Micros::ZERO, |at| now.saturating_since(at));
        let counters = &mut self.counters;
        counters.belated_packets += 1;
        counters.belated_us = (counters.belated_us * 4 + late.as_micros()) / 5;
        late
    }

    /// A packet that was there already came again, and its number is acknowledged.
    pub fn on_acknowledged_duplicate(&mut self, now: Instant, timestamp: Timestamp) {
        let time = self.observe(timestamp);
        self.count_belated(now, time);
    }

    /// Takes the stamp of any packet of the peer, so that the clock unwraps rightly after a long silence.
    pub fn observe(&mut self, timestamp: Timestamp) -> PeerTime {
        match &mut self.tsbpd {
            Some(tsbpd) => tsbpd.observe(timestamp),
            None => Tsbpd::new(Instant::default(), timestamp, Micros::ZERO).unwrap(timestamp),
        }
    }

    /// Appends the next message that is due at `now`; `None` where there is none.
    ///
    /// Skips what is missing when something later is due (TLPKTDROP); [`take_skipped`](Self::take_skipped) tells.
    pub fn pop(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Received> {
        loop {
            match self.head() {
                Head::Nothing | Head::Unfinished => return None,
                Head::Rubbish(end) => self.skip_to(end),
                Head::Gap(end) => {
                    if !self.tlpktdrop || self.play_time(end, now) > now {
                        return None;
                    }
                    self.skip_to(end);
                }
                Head::Message(end) => {
                    let play_time = self.play_time(self.position, now);
                    if play_time > now {
                        return None;
                    }
                    return self.take(end, play_time, into);
                }
            }
        }
    }

    /// `seq` came and is of no use: where nothing is held, the buffer goes on behind it, and counts it as dropped.
    pub fn pass_over(&mut self, seq: SeqNumber) {
        if let Ok(distance) = u64::try_from(seq.distance_from(self.next))
            && self.slots.len() == 0
            && distance < self.capacity as u64
        {
            self.skip_to(self.position + distance + 1);
        }
    }

    /// When [`pop`](Self::pop) will have something: at once where that lies in the past; `None` while it depends on
    /// what comes.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Instant> {
        match self.head() {
            Head::Nothing | Head::Unfinished => None,
            Head::Rubbish(_) => Some(Instant::default()),
            Head::Gap(end) => self.tlpktdrop.then(|| self.play_time(end, Instant::default())),
            Head::Message(_) => Some(self.play_time(self.position, Instant::default())),
        }
    }

    /// The numbers `first..=last` will not come: what is missing of them is skipped when its turn comes. Matters only where
    /// what is missing is waited for (no TLPKTDROP).
    pub fn abandon(&mut self, first: SeqNumber, last: SeqNumber) {
        let first = if first.is_before(self.next) { self.next } else { first };
        let ahead =
            usize::try_from(last.distance_from(self.next)).is_ok_and(|ahead| ahead < self.capacity * 4);
        if !self.tlpktdrop && ahead {
            self.abandoned.insert(first, last);
        }
    }

    /// What was given up since the last call: the newest run, merged with those right before it.
    pub const fn take_skipped(&mut self) -> Option<Skipped> {
        self.skipped.take()
    }

    /// Number of the next packet to hand out.
    #[must_use]
    pub const fn next(&self) -> SeqNumber {
        self.next
    }

    /// Packets held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// True where nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Payload bytes held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Packets the window holds.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Packets there is room for beyond `acknowledged`, the first number not acknowledged.
    #[must_use]
    pub fn available(&self, acknowledged: SeqNumber) -> usize {
        let used = usize::try_from(acknowledged.distance_from(self.next)).unwrap_or_default();
        self.capacity.saturating_sub(used)
    }

    /// Memory held for payloads, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.slots.memory()
    }

    /// The stream rests: memory that is not in use is given back.
    pub fn trim(&mut self) {
        self.slots.trim();
    }

    /// The play clock.
    #[must_use]
    pub const fn tsbpd(&self) -> Option<&Tsbpd> {
        self.tsbpd.as_ref()
    }

    /// Sets the clock drift to take into account, in µs.
    pub const fn set_drift(&mut self, drift: i64) {
        if let Some(tsbpd) = &mut self.tsbpd {
            tsbpd.set_drift(drift);
        }
    }

    /// True where what is missing is given up in time.
    #[must_use]
    pub const fn drops_too_late(&self) -> bool {
        self.tlpktdrop
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> ReceiveCounters {
        self.counters
    }

    /// Time from the oldest to the newest packet held.
    #[must_use]
    pub fn time_span(&self) -> Micros {
        let Some(tsbpd) = &self.tsbpd else { return Micros::ZERO };
        let time = |position| self.slots.get(position).map(|(incoming, _)| tsbpd.origin(incoming.time));
        let first = self.slots.next_occupied(self.position).and_then(time);
        let last = self.slots.last_occupied().and_then(time);
        first.zip(last).map_or(Micros::ZERO, |(first, last)| last.saturating_since(first))
    }

    fn head(&self) -> Head {
        let Some((first, _)) = self.slots.get(self.position) else {
            let occupied = self.slots.next_occupied(self.position);
            if let Some((_, last)) = self.abandoned.run_of(self.next) {
                let end = self.position + u64::from(last.distance_from(self.next).unsigned_abs()) + 1;
                return Head::Rubbish(occupied.map_or(end, |occupied| occupied.min(end)));
            }
            return occupied.map_or(Head::Nothing, Head::Gap);
        };
        match first.boundary {
            Boundary::Solo => return Head::Message(self.position + 1),
            Boundary::Middle | Boundary::Last => return Head::Rubbish(self.position + 1),
            Boundary::First => {}
        }
        let mut position = self.position + 1;
        loop {
            let Some((part, _)) = self.slots.get(position) else {
                return self.slots.next_occupied(position).map_or(Head::Unfinished, Head::Gap);
            };
            if part.msgno != first.msgno {
                return Head::Rubbish(position);
            }
            match part.boundary {
                Boundary::Middle => position += 1,
                Boundary::Last => return Head::Message(position + 1),
                Boundary::First | Boundary::Solo => return Head::Rubbish(position),
            }
        }
    }

    fn play_time(&self, position: u64, otherwise: Instant) -> Instant {
        match (&self.tsbpd, self.slots.get(position)) {
            (Some(tsbpd), Some((incoming, _))) => tsbpd.play_time(incoming.time),
            _ => otherwise,
        }
    }

    fn take(&mut self, end: u64, play_time: Instant, into: &mut Vec<u8>) -> Option<Received> {
        let (first, _) = self.slots.get(self.position)?;
        let msgno = first.msgno;
        let before = into.len();
        for position in self.position..end {
            into.extend_from_slice(self.slots.get(position)?.1);
        }
        let latency = self.tsbpd.as_ref().map_or(Micros::ZERO, Tsbpd::latency);
        let received = Received {
            len: into.len() - before,
            seq: self.next,
            msgno,
            source_time: play_time - latency,
            play_time,
        };
        self.move_to(end);
        Some(received)
    }

    fn skip_to(&mut self, end: u64) {
        let count = narrow(end - self.position);
        let first = self.next;
        let held = narrow(self.move_to(end) as u64);
        self.counters.dropped_packets += u64::from(count);
        let run = Skipped { first, last: self.next.prev(), missing: count - held.min(count) };
        self.skipped = Some(match self.skipped {
            Some(earlier) if earlier.last.next() == run.first => {
                Skipped { first: earlier.first, missing: earlier.missing + run.missing, ..run }
            }
            _ => run,
        });
    }

    fn move_to(&mut self, end: u64) -> usize {
        let (held, _) = self.slots.advance(end);
        self.next += narrow(end - self.position);
        self.position = end;
        if !self.abandoned.is_empty() {
            self.abandoned.remove_before(self.next);
        }
        held
    }
}

#[expect(clippy::cast_possible_truncation, reason = "distances between sequence numbers are below 2^30")]
const fn narrow(distance: u64) -> u32 {
    distance as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packet::KeyFlag, types::SocketId};

    const MS: u64 = 1_000;

    fn buffer(latency_ms: u64, tlpktdrop: bool) -> ReceiveBuffer {
        let tsbpd = Tsbpd::new(Instant::from_micros(0), Timestamp::new(0), Micros::from_millis(latency_ms));
        ReceiveBuffer::new(ReceiveParameters::new(SeqNumber::new(10), 64, 100, Some(tsbpd), tlpktdrop))
    }

    fn header(seq: u32, timestamp_ms: u32) -> DataHeader {
        DataHeader {
            seq: SeqNumber::new(seq),
            boundary: Boundary::Solo,
            in_order: false,
            key: KeyFlag::None,
            retransmitted: false,
            msgno: MsgNumber::new(seq - 9),
            timestamp: Timestamp::new(timestamp_ms * 1_000),
            destination: SocketId::new(1),
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * MS)
    }

    fn drain(buffer: &mut ReceiveBuffer, now: Instant) -> Vec<u32> {
        let mut out = Vec::new();
        std::iter::from_fn(|| buffer.pop(now, &mut out)).map(|received| received.seq.value()).collect()
    }

    #[test]
    fn a_packet_is_played_at_its_time_and_not_before() {
        let mut buffer = buffer(120, true);
        assert_eq!(buffer.insert(at(5), &header(10, 5), b"x"), Insertion::New);
        assert_eq!(buffer.next_delivery(), Some(at(125)));
        assert_eq!(drain(&mut buffer, at(124)), []);
        assert_eq!(drain(&mut buffer, at(125)), [10]);
    }

    #[test]
    fn packets_out_of_order_are_handed_out_in_order() {
        let mut buffer = buffer(10, true);
        for seq in [12, 10, 11] {
            buffer.insert(at(1), &header(seq, seq), b"x");
        }
        assert_eq!(drain(&mut buffer, at(100)), [10, 11, 12]);
    }

    #[test]
    fn what_is_missing_is_skipped_when_a_later_packet_is_due() {
        let mut buffer = buffer(10, true);
        buffer.insert(at(1), &header(10, 0), b"x");
        buffer.insert(at(1), &header(13, 3), b"x");
        assert_eq!(drain(&mut buffer, at(12)), [10]);
        assert_eq!(buffer.take_skipped(), None);
        assert_eq!(drain(&mut buffer, at(13)), [13]);
        let skipped = Skipped { first: SeqNumber::new(11), last: SeqNumber::new(12), missing: 2 };
        assert_eq!(buffer.take_skipped(), Some(skipped));
        assert_eq!(buffer.counters().dropped_packets, 2);
        assert_eq!(buffer.insert(at(20), &header(11, 1), b"x"), Insertion::Belated(Micros::from_millis(9)));
    }

    #[test]
    fn without_tlpktdrop_a_gap_is_waited_for() {
        let mut buffer = buffer(10, false);
        buffer.insert(at(1), &header(11, 1), b"x");
        assert_eq!(drain(&mut buffer, at(1_000)), []);
        assert_eq!(buffer.next_delivery(), None);
        buffer.insert(at(2_000), &header(10, 0), b"x");
        assert_eq!(drain(&mut buffer, at(2_000)), [10, 11]);
    }

    #[test]
    fn what_the_sender_gave_up_is_skipped_in_its_turn_without_tlpktdrop() {
        let mut buffer = buffer(10, false);
        buffer.abandon(SeqNumber::new(12), SeqNumber::new(13));
        buffer.insert(at(1), &header(11, 1), b"x");
        buffer.insert(at(1), &header(14, 1), b"x");
        assert_eq!(drain(&mut buffer, at(1_000)), []);
        buffer.insert(at(1_000), &header(10, 1), b"x");
        assert_eq!(drain(&mut buffer, at(1_000)), [10, 11, 14]);
        assert_eq!(buffer.counters().dropped_packets, 2);
    }

    #[test]
    fn what_is_missing_is_told_anew_each_time() {
        let (mut buffer, mut missing) = (buffer(120, true), Vec::new());
        let seq = SeqNumber::new;
        for number in [10, 11, 14, 17] {
            buffer.insert(at(1), &header(number, number), b"x");
        }
        assert_eq!(buffer.missing(8, &mut missing), seq(18));
        assert_eq!(missing, [(seq(12), seq(13)), (seq(15), seq(16))]);
        assert_eq!(buffer.missing(1, &mut missing), seq(15), "what no run is left for is not accounted for");
        for number in [12, 13] {
            buffer.insert(at(2), &header(number, number), b"x");
        }
        assert_eq!(buffer.missing(8, &mut missing), seq(18));
        assert_eq!(missing, [(seq(15), seq(16))]);
        buffer.restart(seq(500), None);
        buffer.insert(at(3), &header(501, 1), b"x");
        assert_eq!(buffer.missing(8, &mut missing), seq(502));
        assert_eq!(missing, [(seq(500), seq(500))]);
    }

    #[test]
    fn duplicates_are_told_and_kept_once() {
        let mut buffer = buffer(10, true);
        assert_eq!(buffer.insert(at(1), &header(10, 0), b"first"), Insertion::New);
        assert_eq!(buffer.insert(at(1), &header(10, 0), b"again"), Insertion::Duplicate);
        let mut out = Vec::new();
        assert_eq!(buffer.pop(at(50), &mut out).unwrap().len, 5);
        assert_eq!(out, b"first");
    }

    #[test]
    fn beyond_the_window_there_is_no_room_unless_nothing_is_held() {
        let mut buffer = buffer(10, true);
        buffer.insert(at(1), &header(10, 0), b"x");
        assert_eq!(buffer.insert(at(1), &header(10 + 64, 1), b"x"), Insertion::NoRoom);
        assert_eq!(drain(&mut buffer, at(50)), [10]);
        assert_eq!(buffer.insert(at(60), &header(2_000, 60), b"x"), Insertion::New);
        assert_eq!(drain(&mut buffer, at(70)), [2_000]);
        assert_eq!(buffer.counters().dropped_packets, 1_989);
    }

    #[test]
    fn a_message_of_many_packets_comes_whole_or_not_at_all() {
        let mut buffer = buffer(10, true);
        let part =
            |seq, boundary, msgno| DataHeader { boundary, msgno: MsgNumber::new(msgno), ..header(seq, 0) };
        buffer.insert(at(0), &part(10, Boundary::First, 1), b"a");
        buffer.insert(at(0), &part(11, Boundary::Middle, 1), b"b");
        assert_eq!(drain(&mut buffer, at(50)), []);
        buffer.insert(at(0), &part(12, Boundary::Last, 1), b"c");
        let mut out = Vec::new();
        assert_eq!(buffer.pop(at(50), &mut out).unwrap().seq.value(), 10);
        assert_eq!(out, b"abc");
        // the first part of message 2 is lost: its rest goes, message 3 stays
        buffer.insert(at(0), &part(14, Boundary::Last, 2), b"d");
        buffer.insert(at(0), &part(15, Boundary::Solo, 3), b"e");
        assert_eq!(drain(&mut buffer, at(50)), [15]);
        assert_eq!(buffer.counters().dropped_packets, 2);
    }
}
