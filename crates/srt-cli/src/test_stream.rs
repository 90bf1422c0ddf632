//! The test stream: MPEG-TS null packets (PID 0x1FFF) that carry a number, a time and a checksum, and the checker
//! that finds in them what was lost, doubled, reordered or damaged on the way, and how long the way took.
//!
//! Stamp and checker read CLOCK_REALTIME (time since 1970), so sender and receiver may be two processes. Latencies are
//! as true as the two clocks agree: on one machine it is one clock; across machines they contain the clocks' offset.
//!
//! ```text
//!  0  47 1F FF 10                  TS header: null packet, payload only
//!  4  "SRTt"  version  flags       flags bit 0: belongs to the last message of the stream
//! 10  packets per message, place in the message
//! 12  session (µs since 1970 when the stream began)         u64
//! 20  number of this TS packet                              u64
//! 28  sent at (µs since 1970)                               u64
//! 36  seed of the filling                                   u32
//! 40  checksum of bytes 4..40                               u32
//! 44  filling, the same in every packet of a stream         144 bytes
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

/// Bytes of an MPEG-TS packet.
pub(crate) const TS_PACKET: usize = 188;

const TS_NULL_HEADER: [u8; 4] = [0x47, 0x1F, 0xFF, 0x10];
const MAGIC: [u8; 4] = *b"SRTt";
const VERSION: u8 = 1;
const LAST_MESSAGE: u8 = 1;
const FILLING: usize = 44;

/// Microseconds since 1970 by CLOCK_REALTIME: the clock of the stamps.
pub(crate) fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Writes stamped messages.
#[derive(Clone, Debug)]
pub(crate) struct Stamper {
    packet: [u8; TS_PACKET],
    packets_per_message: u8,
    next: u64,
}

impl Stamper {
    /// A stream of messages of `packets_per_message` TS packets each (at least one), begun at `session` µs since 1970.
    pub(crate) fn new(seed: u32, packets_per_message: u8, session: u64) -> Self {
        let packets_per_message = packets_per_message.max(1);
        let mut packet = [0; TS_PACKET];
        packet[..4].copy_from_slice(&TS_NULL_HEADER);
        packet[4..8].copy_from_slice(&MAGIC);
        packet[8] = VERSION;
        packet[10] = packets_per_message;
        packet[12..20].copy_from_slice(&session.to_be_bytes());
        packet[36..40].copy_from_slice(&seed.to_be_bytes());
        packet[FILLING..].copy_from_slice(&filling(seed));
        Self { packet, packets_per_message, next: 0 }
    }

    /// Bytes of one message.
    pub(crate) fn message_size(&self) -> usize {
        usize::from(self.packets_per_message) * TS_PACKET
    }

    /// Writes the next message over `space`, whose size must be [`message_size`](Self::message_size).
    pub(crate) fn write(&mut self, space: &mut [u8], now_us: u64, last: bool) {
        for (place, out) in (0..self.packets_per_message).zip(space.chunks_exact_mut(TS_PACKET)) {
            self.packet[9] = if last { LAST_MESSAGE } else { 0 };
            self.packet[11] = place;
            self.packet[20..28].copy_from_slice(&self.next.to_be_bytes());
            self.packet[28..36].copy_from_slice(&now_us.to_be_bytes());
            let sum = checksum(&self.packet);
            self.packet[40..44].copy_from_slice(&sum.to_be_bytes());
            out.copy_from_slice(&self.packet);
            self.next += 1;
        }
    }
}

/// What one TS packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// A stamped packet whose header is sound.
    Sound { last: bool, packets_per_message: u8, session: u64, number: u64, sent_us: u64, seed: u32 },
    /// It was a stamped packet once; its header is damaged.
    Damaged,
    /// Something else: real video, say.
    Foreign,
}

fn read_stamp(packet: &[u8; TS_PACKET]) -> Stamp {
    let sound = packet[..4] == TS_NULL_HEADER && packet[4..8] == MAGIC && packet[8] == VERSION;
    if sound && packet[40..44] == checksum(packet).to_be_bytes() {
        return Stamp::Sound {
            last: packet[9] & LAST_MESSAGE != 0,
            packets_per_message: packet[10].max(1),
            session: be_u64(packet, 12),
            number: be_u64(packet, 20),
            sent_us: be_u64(packet, 28),
            seed: u32::from_be_bytes([packet[36], packet[37], packet[38], packet[39]]),
        };
    }
    // A damaged stamp still resembles one: most of its marks stand.
    let marks = packet[..4].iter().zip(TS_NULL_HEADER).chain(packet[4..8].iter().zip(MAGIC));
    if marks.filter(|(is, should)| **is == *should).count() >= 6 { Stamp::Damaged } else { Stamp::Foreign }
}

/// Reads a stream of messages and keeps the books. Knows nothing of SRT: any medium's messages will do, also such as
/// cut TS packets in two.
#[derive(Debug)]
pub(crate) struct Checker {
    carry: Vec<u8>,
    session: Option<Session>,
    findings: Findings,
    latency: Histogram<u64>,
    jitter: Histogram<u64>,
    last_latency: Option<u64>,
}

#[derive(Debug)]
struct Session {
    id: u64,
    seed: u32,
    filling: [u8; TS_PACKET - FILLING],
    expected: u64,
    /// Numbers below `expected` not seen yet: first number → first number after the hole.
    holes: BTreeMap<u64, u64>,
}

/// What the checker found; counts are TS packets unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Messages seen, stamped or not.
    pub(crate) messages: u64,
    /// Bytes seen.
    pub(crate) bytes: u64,
    /// Stamped packets seen once or more, sound or damaged, doubles not counted.
    pub(crate) received: u64,
    /// Numbers that never came.
    pub(crate) lost: u64,
    /// Packets that came again.
    pub(crate) duplicates: u64,
    /// Packets that came after a later one.
    pub(crate) reordered: u64,
    /// Packets with a wrong checksum or wrong filling.
    pub(crate) damaged: u64,
    /// Packets or bytes that are no part of a test stream.
    pub(crate) foreign: u64,
    /// Number of the first packet seen; above 0 when the receiver came later than the sender.
    pub(crate) first: u64,
    /// Times the sender began anew.
    pub(crate) restarts: u64,
    /// TS packets in a message.
    pub(crate) packets_per_message: u64,
    /// Whether the last message of the stream came; without it a loss at the very end cannot be seen.
    pub(crate) ended: bool,
    /// Messages stamped later than they arrived: two clocks that disagree.
    pub(crate) before_sent: u64,
    /// Time from stamp to check, of whole messages, in µs.
    pub(crate) latency: Option<Spread>,
    /// Change of that time from one message to the next, in µs.
    pub(crate) jitter: Option<Spread>,
}

/// Percentiles of a measured span in µs, to three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Smallest.
    pub(crate) min: u64,
    /// Half are at most this.
    pub(crate) p50: u64,
    /// 95 % are at most this.
    pub(crate) p95: u64,
    /// 99 % are at most this.
    pub(crate) p99: u64,
    /// Largest.
    pub(crate) max: u64,
}

impl Findings {
    /// Whether anything the sender sent is missing, damaged, doubled or out of order.
    pub(crate) fn broken(&self) -> bool {
        self.lost + self.damaged + self.duplicates + self.reordered > 0
    }

    /// TS packets as messages, rounded up.
    pub(crate) fn in_messages(&self, packets: u64) -> u64 {
        packets.div_ceil(self.packets_per_message.max(1))
    }
}

/// Latencies above this are kept as this.
const LONGEST_LATENCY_US: u64 = 60_000_000;
/// Holes kept open for late packets; beyond it the oldest counts as lost for good.
const MOST_HOLES: usize = 4096;

impl Checker {
    /// A checker that has seen nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            carry: Vec::with_capacity(TS_PACKET),
            session: None,
            findings: Findings::default(),
            latency: micros_histogram(),
            jitter: micros_histogram(),
            last_latency: None,
        }
    }

    /// Takes a message that arrived at `now_us` (µs since 1970).
    pub(crate) fn check(&mut self, message: &[u8], now_us: u64) {
        self.findings.messages += 1;
        self.findings.bytes += message.len() as u64;
        let mut sent_us = None;
        let mut rest = message;
        if !self.carry.is_empty() {
            let take = rest.len().min(TS_PACKET - self.carry.len());
            let (head, tail) = rest.split_at(take);
            self.carry.extend_from_slice(head);
            rest = tail;
            if let Ok(packet) = <[u8; TS_PACKET]>::try_from(self.carry.as_slice()) {
                self.carry.clear();
                sent_us = self.check_packet(&packet);
            }
        }
        while let Some((packet, tail)) = rest.split_first_chunk::<TS_PACKET>() {
            rest = tail;
            let stamped = self.check_packet(packet);
            sent_us = sent_us.or(stamped);
        }
        // Only what may be the first part of a TS packet waits for the second.
        if rest.first() == Some(&TS_NULL_HEADER[0]) || !self.carry.is_empty() {
            self.carry.extend_from_slice(rest);
        } else if !rest.is_empty() {
            self.findings.foreign += 1;
        }
        if let Some(sent_us) = sent_us {
            self.time(sent_us, now_us);
        }
    }

    /// Whether a stamped packet was seen.
    pub(crate) fn recognised(&self) -> bool {
        self.session.is_some()
    }

    /// The books as they stand.
    pub(crate) fn findings(&self) -> Findings {
        let mut findings = self.findings.clone();
        if let Some(session) = &self.session {
            findings.lost += open(&session.holes);
        }
        findings.latency = spread(&self.latency);
        findings.jitter = spread(&self.jitter);
        findings
    }

    /// Lost so far, without the percentiles: cheap enough for a live line.
    pub(crate) fn lost_so_far(&self) -> u64 {
        self.findings.lost + self.session.as_ref().map_or(0, |session| open(&session.holes))
    }

    fn check_packet(&mut self, packet: &[u8; TS_PACKET]) -> Option<u64> {
        match read_stamp(packet) {
            Stamp::Foreign => {
                self.findings.foreign += 1;
                None
            }
            Stamp::Damaged => {
                self.findings.damaged += 1;
                if let Some(session) = &mut self.session {
                    // Its number is unreadable; in order it is the next.
                    session.expected += 1;
                    self.findings.received += 1;
                }
                None
            }
            Stamp::Sound { last, packets_per_message, session: id, number, sent_us, seed } => {
                self.enter(id, seed, number);
                self.findings.packets_per_message = u64::from(packets_per_message);
                self.findings.ended |= last;
                let session = self.session.as_mut()?;
                if packet[FILLING..] != session.filling || seed != session.seed {
                    self.findings.damaged += 1;
                }
                match session.place(number) {
                    Place::Next => self.findings.received += 1,
                    Place::Late => {
                        self.findings.received += 1;
                        self.findings.reordered += 1;
                    }
                    Place::Double => self.findings.duplicates += 1,
                }
                while session.holes.len() > MOST_HOLES
                    && let Some((first, end)) = session.holes.pop_first()
                {
                    self.findings.lost += end - first;
                }
                Some(sent_us)
            }
        }
    }

    fn enter(&mut self, id: u64, seed: u32, number: u64) {
        if self.session.as_ref().is_some_and(|session| session.id == id) {
            return;
        }
        match self.session.take() {
            Some(old) => {
                self.findings.lost += open(&old.holes);
                self.findings.restarts += 1;
                self.findings.ended = false;
            }
            None => self.findings.first = number,
        }
        let holes = BTreeMap::new();
        self.session = Some(Session { id, seed, filling: filling(seed), expected: number, holes });
    }

    fn time(&mut self, sent_us: u64, now_us: u64) {
        if now_us < sent_us {
            self.findings.before_sent += 1;
        }
        let latency = now_us.saturating_sub(sent_us);
        self.latency.saturating_record(latency);
        if let Some(before) = self.last_latency.replace(latency) {
            self.jitter.saturating_record(latency.abs_diff(before));
        }
    }
}

/// How a number stands to those seen before.
enum Place {
    Next,
    Late,
    Double,
}

impl Session {
    fn place(&mut self, number: u64) -> Place {
        if number >= self.expected {
            if number > self.expected {
                self.holes.insert(self.expected, number);
            }
            self.expected = number + 1;
            return Place::Next;
        }
        let Some((&first, &end)) = self.holes.range(..=number).next_back() else { return Place::Double };
        if number >= end {
            return Place::Double;
        }
        self.holes.remove(&first);
        if first < number {
            self.holes.insert(first, number);
        }
        if number + 1 < end {
            self.holes.insert(number + 1, end);
        }
        Place::Late
    }
}

fn open(holes: &BTreeMap<u64, u64>) -> u64 {
    holes.iter().map(|(first, end)| end - first).sum()
}

fn micros_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_LATENCY_US, 3).expect("the bounds are constant and valid")
}

fn spread(histogram: &Histogram<u64>) -> Option<Spread> {
    let at = |quantile| histogram.value_at_quantile(quantile);
    let (min, max) = (histogram.min(), histogram.max());
    (!histogram.is_empty()).then(|| Spread { min, p50: at(0.5), p95: at(0.95), p99: at(0.99), max })
}

fn be_u64(packet: &[u8; TS_PACKET], at: usize) -> u64 {
    packet[at..at + 8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Folds bytes 4..40 into 32 bits; every bit of them counts.
fn checksum(packet: &[u8; TS_PACKET]) -> u32 {
    let mut sum: u64 = 0x5352_5474_6573_7421;
    for at in [4, 12, 20, 28, 32] {
        sum = mix(sum ^ be_u64(packet, at));
    }
    let bytes = sum.to_be_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A bijection of 64 bits that spreads each over all (the finisher of splitmix64).
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

fn filling(seed: u32) -> [u8; TS_PACKET - FILLING] {
    let mut bytes = [0; TS_PACKET - FILLING];
    let mut state = u64::from(seed);
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        chunk.copy_from_slice(&mix(state).to_be_bytes()[..chunk.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_000_000_000;

    fn messages(count: usize) -> Vec<Vec<u8>> {
        let mut stamper = Stamper::new(7, 7, START);
        (0..count)
            .map(|place| {
                let mut message = vec![0; stamper.message_size()];
                stamper.write(&mut message, START + 1_000 * place as u64, place + 1 == count);
                message
            })
            .collect()
    }

    fn check<'a>(messages: impl IntoIterator<Item = &'a Vec<u8>>) -> Findings {
        let mut checker = Checker::new();
        for (place, message) in messages.into_iter().enumerate() {
            checker.check(message, START + 1_000 * place as u64 + 120_000);
        }
        checker.findings()
    }

    #[test]
    fn every_packet_is_a_ts_null_packet() {
        for packet in messages(1)[0].chunks(TS_PACKET) {
            assert_eq!(packet[0], 0x47);
            assert_eq!(u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF, 0x1FFF);
            assert_eq!(packet.len(), TS_PACKET);
        }
    }

    #[test]
    fn an_untouched_stream_is_found_whole_with_its_latency() {
        let found = check(&messages(100));
        assert_eq!((found.received, found.messages, found.bytes), (700, 100, 131_600));
        assert!(!found.broken() && found.ended && found.first == 0 && found.foreign == 0);
        let latency = found.latency.unwrap();
        assert!(latency.p50.abs_diff(120_000) < 200 && latency.max.abs_diff(120_000) < 200, "{latency:?}");
        assert_eq!(found.jitter.unwrap().max, 0);
    }

    #[test]
    fn lost_messages_are_counted_exactly() {
        let all = messages(100);
        let found =
            check(all.iter().enumerate().filter(|(place, _)| ![3, 4, 50].contains(place)).map(|(_, m)| m));
        assert_eq!((found.lost, found.received, found.duplicates, found.reordered), (21, 679, 0, 0));
        assert_eq!(found.in_messages(found.lost), 3);
        assert!(found.broken());
    }

    #[test]
    fn a_lost_end_shows_as_a_missing_end() {
        let all = messages(10);
        let found = check(&all[..9]);
        assert!(!found.ended && found.lost == 0);
    }

    #[test]
    fn doubled_messages_are_counted_exactly() {
        let all = messages(5);
        let found = check([&all[0], &all[1], &all[1], &all[2], &all[0], &all[3], &all[4]]);
        assert_eq!((found.duplicates, found.lost, found.reordered, found.received), (14, 0, 0, 35));
    }

    #[test]
    fn reordered_messages_are_late_and_not_lost() {
        let all = messages(6);
        let found = check([&all[0], &all[3], &all[1], &all[2], &all[5], &all[4]]);
        assert_eq!((found.reordered, found.lost, found.duplicates, found.received), (21, 0, 0, 42));
    }

    #[test]
    fn a_late_packet_from_the_middle_of_a_hole_splits_it() {
        let all = messages(6);
        let found = check([&all[0], &all[5], &all[3]]);
        assert_eq!((found.reordered, found.lost, found.received), (7, 21, 21));
    }

    #[test]
    fn any_flipped_bit_is_found_and_nothing_else() {
        let all = messages(3);
        for bit in 0..TS_PACKET * 8 {
            let mut damaged = all.clone();
            damaged[1][TS_PACKET * 2 + bit / 8] ^= 1 << (bit % 8);
            let found = check(&damaged);
            assert_eq!(
                (found.damaged, found.lost, found.duplicates, found.reordered, found.received),
                (1, 0, 0, 0, 21),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn messages_cut_anywhere_are_put_together() {
        let whole: Vec<u8> = messages(20).concat();
        for size in [1, 100, 187, 189, 1000, 1400] {
            let found = check(&whole.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>());
            assert_eq!((found.received, found.broken(), found.foreign), (140, false, 0), "cut at {size}");
        }
    }

    #[test]
    fn a_receiver_that_comes_late_has_lost_nothing() {
        let all = messages(10);
        let found = check(&all[4..]);
        assert_eq!((found.first, found.lost, found.received), (28, 0, 42));
    }

    #[test]
    fn a_sender_that_begins_anew_is_a_restart_not_a_heap_of_doubles() {
        let mut again = Stamper::new(7, 7, START + 5);
        let mut message = vec![0; again.message_size()];
        again.write(&mut message, START + 5, false);
        let mut all = messages(4);
        all.remove(2);
        all.push(message);
        let found = check(&all);
        assert_eq!((found.restarts, found.duplicates, found.lost, found.received), (1, 0, 7, 28));
        assert!(!found.ended);
    }

    #[test]
    fn other_data_is_foreign_and_no_test_stream() {
        let mut checker = Checker::new();
        checker.check(&[0x47; 1316], 0);
        checker.check(b"not even a transport stream", 0);
        assert!(!checker.recognised());
        assert_eq!(checker.findings().foreign, 8);
        assert!(!checker.findings().broken());
        assert_eq!(checker.findings().latency, None);
    }

    #[test]
    fn a_stamp_from_the_future_is_counted_as_clocks_that_disagree() {
        let mut checker = Checker::new();
        checker.check(&messages(1)[0], START - 1);
        assert_eq!(checker.findings().before_sent, 1);
    }

    #[test]
    fn holes_are_bounded_and_the_oldest_count_as_lost() {
        let mut stamper = Stamper::new(1, 1, START);
        let mut checker = Checker::new();
        let mut message = [0; TS_PACKET];
        for place in 0..20_000 {
            stamper.write(&mut message, START, false);
            if place % 2 == 0 {
                checker.check(&message, START);
            }
        }
        assert!(checker.session.as_ref().unwrap().holes.len() <= MOST_HOLES);
        assert_eq!(checker.findings().lost, 9_999);
        assert_eq!(checker.lost_so_far(), 9_999);
    }
}
