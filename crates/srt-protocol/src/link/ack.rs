//! Acknowledgements: full ones while data comes, light ones between them where it comes fast, and what ACKACK tells (draft §4.8.1).
//!
//! A full ACK costs two datagrams, itself and its ACKACK. At the rates of video it goes every 10 ms, as the draft has it. A slow
//! stream would pay both for every packet: there an ACK waits for some packets, at most 50 ms, and goes at once when the
//! stream pauses or room gets short. A light ACK is for a stream so fast that much of the room is taken before the next full one.
//!
//! libsrt: full ones every 10 ms and light ones every 64 packets, at any rate.

use std::collections::VecDeque;

use super::rtt::Rtt;
use crate::{
    time::{Instant, Micros},
    types::SeqNumber,
};

/// Time between full ACKs while data comes fast, and from the last packet before a pause to its ACK.
const FULL_PERIOD: Micros = Micros::from_millis(10);
/// The longest time from a packet to its ACK.
const FULL_PERIOD_MAX: Micros = Micros::from_millis(50);
/// Packets that an ACK waits for between these two.
const FULL_PACKETS: u64 = 8;
/// Packets between light ACKs at least, and as a share of the room that was told.
const LIGHT_PACKETS: usize = 64;
const LIGHT_SHARE: usize = 16;
/// Full ACKs remembered until their ACKACK comes.
const JOURNAL_MAX: usize = 512;
/// The longest time between two repetitions of an ACK that nobody confirms.
const REPEAT_MAX: Micros = Micros::from_secs(1);

/// A full ACK that waits for its ACKACK.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u32,
    next: SeqNumber,
    at: Instant,
}

/// Which kind of ACK is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckDue {
    Full,
    Light,
}

/// When to acknowledge, and what was.
#[derive(Debug)]
pub(crate) struct AckState {
    /// What the last ACK named.
    sent: SeqNumber,
    /// What the peer knows we acknowledged.
    confirmed: SeqNumber,
    sent_at: Instant,
    number: u32,
    journal: VecDeque<Entry>,
    /// When a full ACK of what came since the last one is due; `None` where nothing came.
    due_at: Option<Instant>,
    /// When it is due at the latest, however much comes.
    due_by: Instant,
    /// When the last one is to be repeated.
    repeat_at: Option<Instant>,
    /// When the last packet came, and the usual time between two.
    data_at: Option<Instant>,
    gap: Micros,
    repeat_after: Micros,
    light_packets: usize,
    /// Room told in the last full ACK, in packets.
    told_room: usize,
    /// An ACK of what came goes also where it names nothing new: it says that the link lives.
    steady: bool,
    /// Time between full ACKs while data comes fast.
    period: Micros,
}

impl AckState {
    pub(crate) const fn new(isn: SeqNumber, room: usize) -> Self {
        Self {
            sent: isn,
            confirmed: isn,
            sent_at: Instant::from_micros(0),
            number: 0,
            journal: VecDeque::new(),
            due_at: None,
            due_by: Instant::from_micros(0),
            repeat_at: None,
            data_at: None,
            gap: Micros::ZERO,
            repeat_after: Micros::ZERO,
            light_packets: 0,
            told_room: room,
            steady: false,
            period: FULL_PERIOD,
        }
    }

    /// From now on an ACK of what came goes also where it names nothing new.
    pub(crate) const fn set_steady(&mut self) {
        self.steady = true;
    }

    /// From now on full ACKs go so far apart while data comes fast, at most [`FULL_PERIOD_MAX`].
    pub(crate) fn set_period(&mut self, period: Micros) {
        self.period = period.min(FULL_PERIOD_MAX);
    }

    /// A data packet came; `hurry` where the peer may wait for the room an ACK tells, or something is missing.
    pub(crate) fn on_data(&mut self, now: Instant, hurry: bool) {
        self.light_packets += 1;
        let gap = self.data_at.map_or(Micros::ZERO, |at| now.saturating_since(at).min(FULL_PERIOD_MAX));
        self.data_at = Some(now);
        self.gap = (self.gap * 7 + gap) / 8;
        if hurry {
            self.on_change(now);
            return;
        }
        if self.due_at.is_none() {
            self.due_by = now + (self.gap * FULL_PACKETS).clamp(self.period, FULL_PERIOD_MAX);
        }
        let pause = (self.gap * 2).clamp(FULL_PERIOD, FULL_PERIOD_MAX);
        self.due_at = Some(self.due_by.min(now + pause));
    }

    /// When the last packet came.
    pub(crate) fn data_at(&self) -> Instant {
        self.data_at.unwrap_or_default()
    }

    /// What an ACK says has changed, without a packet.
    pub(crate) fn on_change(&mut self, now: Instant) {
        let due = now + FULL_PERIOD;
        self.due_by = self.due_at.map_or(due, |_| self.due_by.min(due));
        self.due_at = Some(self.due_at.map_or(due, |at| at.min(due)));
    }

    /// The receive buffer has room again.
    pub(crate) fn on_room(&mut self, now: Instant, room: usize, capacity: usize) {
        if self.told_room < capacity / 4 && room >= capacity / 2 {
            self.told_room = room;
            (self.due_at, self.due_by) = (Some(now), now);
            self.repeat_after = Micros::ZERO;
            self.confirmed = self.sent.prev(); // so that it goes although it names the same number
        }
    }

    /// When an ACK is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        match (self.due_at, self.repeat_at) {
            (Some(due), Some(repeat)) => Some(due.min(repeat)),
            (due, repeat) => due.or(repeat),
        }
    }

    /// The ACK to send now, where `next` is the first number missing.
    pub(crate) fn due(&mut self, now: Instant, next: SeqNumber, rtt: &Rtt) -> Option<AckDue> {
        if self.next().is_some_and(|at| at <= now) {
            // Without a round trip measured everything else is guesswork: then an ACK goes also where it names nothing new.
            let unmeasured = (self.steady || rtt.first().is_none()) && self.light_packets > 0;
            if next != self.sent || unmeasured {
                self.repeat_after = rtt.overdue();
                return Some(AckDue::Full);
            }
            self.due_at = None;
            if self.confirmed == self.sent {
                self.repeat_at = None;
            } else if now.saturating_since(self.sent_at) >= self.repeat_after {
                self.repeat_after =
                    (self.repeat_after * 2).clamp(rtt.overdue(), REPEAT_MAX.max(rtt.overdue()));
                return Some(AckDue::Full);
            } else {
                self.repeat_at = Some(self.sent_at + self.repeat_after);
            }
        }
        if self.light_packets >= LIGHT_PACKETS.max(self.told_room / LIGHT_SHARE) && next != self.sent {
            self.light_packets = 0;
            return Some(AckDue::Light);
        }
        None
    }

    /// Notes a full ACK that leaves now; gives its number.
    pub(crate) fn on_full(&mut self, now: Instant, next: SeqNumber, room: usize) -> u32 {
        self.number = if self.number == u32::MAX { 1 } else { self.number + 1 };
        if self.journal.len() == JOURNAL_MAX {
            self.journal.pop_front();
        }
        self.journal.push_back(Entry { number: self.number, next, at: now });
        self.sent = next;
        self.sent_at = now;
        self.told_room = room;
        self.light_packets = 0;
        self.due_at = None;
        self.repeat_at = Some(now + self.repeat_after.max(FULL_PERIOD));
        self.number
    }

    /// Takes an ACKACK; tells the round trip where it belongs to a full ACK of ours.
    pub(crate) fn on_ackack(&mut self, now: Instant, number: u32) -> Option<Micros> {
        let index = self.journal.iter().rposition(|entry| entry.number == number)?;
        let entry = self.journal[index];
        self.journal.drain(..=index);
        if entry.next.is_after(self.confirmed) {
            self.confirmed = entry.next;
        }
        if self.confirmed == self.sent {
            self.repeat_at = None;
        }
        if self.journal.is_empty() && self.journal.capacity() > 16 {
            self.journal.shrink_to(16);
        }
        Some(now.saturating_since(entry.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn rtt() -> Rtt {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.sample(Micros::from_millis(40));
        }
        rtt
    }

    #[test]
    fn a_full_ack_follows_data_by_ten_milliseconds() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        assert_eq!(ack.next(), None, "silence costs nothing");
        ack.on_data(at(100), false);
        assert_eq!(ack.due(at(109), isn + 1, &rtt()), None);
        assert_eq!(ack.due(at(110), isn + 1, &rtt()), Some(AckDue::Full));
        let number = ack.on_full(at(110), isn + 1, 100);
        assert_eq!(ack.on_ackack(at(150), number), Some(Micros::from_millis(40)));
        assert_eq!(ack.on_ackack(at(150), number), None, "an ACKACK counts once");
        assert_eq!(ack.due(at(300), isn + 1, &rtt()), None);
        assert_eq!(ack.next(), None);
    }

    /// When full ACKs go for packets that come `every` so many milliseconds, and one confirmation each.
    fn acks(every: u64, hurry: bool) -> Vec<u64> {
        let isn = SeqNumber::new(5);
        let (mut ack, mut next, mut sent) = (AckState::new(isn, 100), isn, Vec::new());
        for ms in 0..1_000 {
            if ms % every == 0 && ms < 900 {
                ack.on_data(at(ms), hurry);
                next = next.next();
            }
            if ack.due(at(ms), next, &rtt()) == Some(AckDue::Full) {
                let number = ack.on_full(at(ms), next, 100);
                ack.on_ackack(at(ms), number);
                sent.push(ms);
            }
        }
        sent
    }

    #[test]
    fn a_slow_stream_is_acknowledged_some_packets_at_a_time_and_a_pause_at_once() {
        let fast = acks(1, false);
        assert!((80..=91).contains(&fast.len()), "{fast:?}");
        let slow = acks(10, false);
        assert!((15..=25).contains(&slow.len()), "{slow:?}");
        assert!(slow.windows(2).all(|pair| pair[1] - pair[0] <= 60), "{slow:?}");
        assert!(slow.last().is_some_and(|&last| (890..=912).contains(&last)), "{slow:?}");
        let hurried = acks(10, true);
        assert!((40..=46).contains(&hurried.len()), "{hurried:?}");
    }

    #[test]
    fn an_ack_nobody_confirms_is_repeated_ever_more_slowly() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        ack.on_data(at(0), false);
        let mut sent = Vec::new();
        for ms in 0..3_000 {
            if ack.due(at(ms), isn + 1, &rtt()).is_some() {
                ack.on_full(at(ms), isn + 1, 100);
                sent.push(ms);
            }
        }
        assert!((4..12).contains(&sent.len()), "{sent:?}");
        let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
    }

    #[test]
    fn a_light_ack_waits_for_a_sixteenth_of_the_room() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 8_192);
        let mut light = |n: i32| {
            ack.on_data(at(0), false);
            ack.due(at(0), isn + n.unsigned_abs(), &rtt()) == Some(AckDue::Light)
        };
        assert_eq!((1..=1_024).filter(|&n| light(n)).collect::<Vec<_>>(), [512, 1_024]);
    }

    #[test]
    fn full_acks_go_as_far_apart_as_they_are_told_to() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 8_192);
        ack.set_period(Micros::from_millis(20));
        let mut sent = Vec::new();
        for ms in 0..100 {
            ack.on_data(at(u64::from(ms)), false);
            if ack.due(at(u64::from(ms)), isn + ms, &rtt()) == Some(AckDue::Full) {
                ack.on_full(at(u64::from(ms)), isn + ms, 8_192);
                sent.push(ms);
            }
        }
        assert_eq!(sent, [20, 41, 62, 83]);
    }

    #[test]
    fn every_64_packets_a_light_ack_goes() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        let lights = (0..640).filter(|&n| {
            ack.on_data(at(0), false);
            ack.due(at(0), isn + n + 1, &rtt()) == Some(AckDue::Light)
        });
        assert_eq!(lights.count(), 10);
    }

    #[test]
    fn room_that_comes_back_is_told() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        ack.on_data(at(0), false);
        ack.due(at(10), isn + 1, &rtt());
        let number = ack.on_full(at(10), isn + 1, 3);
        ack.on_ackack(at(50), number);
        assert_eq!(ack.due(at(100), isn + 1, &rtt()), None);
        ack.on_room(at(100), 20, 100);
        assert_eq!(ack.next(), None);
        ack.on_room(at(101), 90, 100);
        assert_eq!(ack.due(at(101), isn + 1, &rtt()), Some(AckDue::Full));
    }
}
