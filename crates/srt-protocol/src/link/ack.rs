//! Acknowledgements: full every 10 ms, light every 64 packets, and what ACKACK tells (draft §4.8.1).

use std::collections::VecDeque;

use super::rtt::Rtt;
use crate::{
    time::{Instant, Micros},
    types::SeqNumber,
};

/// Time between full ACKs while data comes.
const FULL_PERIOD: Micros = Micros::from_millis(10);
/// Packets between light ACKs.
const LIGHT_PACKETS: u32 = 64;
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
    /// When the next full ACK is due; `None` while nothing comes.
    due_at: Option<Instant>,
    repeat_after: Micros,
    light_packets: u32,
    /// Room told in the last full ACK, in packets.
    told_room: usize,
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
            repeat_after: Micros::ZERO,
            light_packets: 0,
            told_room: room,
        }
    }

    /// A data packet came.
    pub(crate) fn on_data(&mut self, now: Instant) {
        self.light_packets += 1;
        let due = now + FULL_PERIOD;
        self.due_at = Some(self.due_at.map_or(due, |at| at.min(due)));
    }

    /// The receive buffer has room again.
    pub(crate) fn on_room(&mut self, now: Instant, room: usize, capacity: usize) {
        if self.told_room < capacity / 4 && room >= capacity / 2 {
            self.told_room = room;
            self.due_at = Some(now);
            self.repeat_after = Micros::ZERO;
            self.confirmed = self.sent.prev(); // so that it goes although it names the same number
        }
    }

    /// When an ACK is due.
    pub(crate) const fn next(&self) -> Option<Instant> {
        self.due_at
    }

    /// The ACK to send now, where `next` is the first number missing.
    pub(crate) fn due(&mut self, now: Instant, next: SeqNumber, rtt: &Rtt) -> Option<AckDue> {
        if self.due_at.is_some_and(|at| at <= now) {
            // Without a round trip measured everything else is guesswork: then an ACK goes also where it names nothing new.
            let unmeasured = rtt.first().is_none() && self.light_packets > 0;
            if next != self.sent || unmeasured {
                self.repeat_after = rtt.overdue();
                return Some(AckDue::Full);
            }
            if self.confirmed == self.sent {
                self.due_at = None;
            } else if now.saturating_since(self.sent_at) >= self.repeat_after {
                self.repeat_after =
                    (self.repeat_after * 2).clamp(rtt.overdue(), REPEAT_MAX.max(rtt.overdue()));
                return Some(AckDue::Full);
            } else {
                self.due_at = Some(self.sent_at + self.repeat_after);
            }
        }
        if self.light_packets >= LIGHT_PACKETS && next != self.sent {
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
        self.due_at = Some(now + self.repeat_after.max(FULL_PERIOD));
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
        ack.on_data(at(100));
        assert_eq!(ack.due(at(109), isn + 1, &rtt()), None);
        assert_eq!(ack.due(at(110), isn + 1, &rtt()), Some(AckDue::Full));
        let number = ack.on_full(at(110), isn + 1, 100);
        assert_eq!(ack.on_ackack(at(150), number), Some(Micros::from_millis(40)));
        assert_eq!(ack.on_ackack(at(150), number), None, "an ACKACK counts once");
        assert_eq!(ack.due(at(300), isn + 1, &rtt()), None);
        assert_eq!(ack.next(), None);
    }

    #[test]
    fn an_ack_nobody_confirms_is_repeated_ever_more_slowly() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        ack.on_data(at(0));
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
    fn every_64_packets_a_light_ack_goes() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        let lights = (0..640).filter(|&n| {
            ack.on_data(at(0));
            ack.due(at(0), isn + n + 1, &rtt()) == Some(AckDue::Light)
        });
        assert_eq!(lights.count(), 10);
    }

    #[test]
    fn room_that_comes_back_is_told() {
        let isn = SeqNumber::new(5);
        let mut ack = AckState::new(isn, 100);
        ack.on_data(at(0));
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
