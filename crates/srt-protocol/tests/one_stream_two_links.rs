//! A stream is not a link: one send buffer and one receive buffer, carried by two links at once.
//!
//! Both links share the numbers and the stamps; the first copy of a packet wins; each link acknowledges what it carried,
//! and asks again only for what it was to bring itself. No group is needed for that: the cut between `stream` and `link`
//! alone makes it so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;

use srt_protocol::{
    config::Config,
    link::{Link, LinkParameters},
    packet::{Control, Packet},
    stream::{Insertion, Message, ReceiveBuffer, ReceiveParameters, SendBuffer, Tsbpd},
    time::{Instant, Micros},
    types::{SeqNumber, SocketId, Timestamp},
};

const LATENCY: Micros = Micros::from_millis(200);

/// One link's two ends and the two wires between them.
struct Path {
    sender: Link,
    receiver: Link,
    delay: Micros,
    /// Every n-th data packet is lost; 0 loses none.
    lose_every: u64,
    /// From here on nothing passes.
    dead_from: Option<Instant>,
    carried: u64,
    forth: VecDeque<(Instant, Vec<u8>)>,
    back: VecDeque<(Instant, Vec<u8>)>,
    next_new: SeqNumber,
    acknowledged: SeqNumber,
    duplicates: u64,
}

fn end(local: u32, peer: u32, isn: SeqNumber) -> Link {
    let parameters = LinkParameters::new(
        (SocketId::new(local), SocketId::new(peer)),
        ([127, 0, 0, 1], 9_000).into(),
        Instant::from_micros(0),
        isn,
        Some(LATENCY),
    );
    Link::new(Instant::from_micros(0), parameters, &Config::live())
}

impl Path {
    fn new(n: u32, isn: SeqNumber, delay_ms: u64, lose_every: u64) -> Self {
        Self {
            sender: end(10 + n, 20 + n, isn),
            receiver: end(20 + n, 10 + n, isn),
            delay: Micros::from_millis(delay_ms),
            lose_every,
            dead_from: None,
            carried: 0,
            forth: VecDeque::new(),
            back: VecDeque::new(),
            next_new: isn,
            acknowledged: isn,
            duplicates: 0,
        }
    }

    /// The sending end puts what is due on the wire.
    fn pump_sender(&mut self, now: Instant, send: &SendBuffer, none: &ReceiveBuffer) {
        let mut out = Vec::new();
        while self.sender.poll_control(now, none, &mut out) {
            self.post_forth(now, std::mem::take(&mut out));
        }
        self.sender.probe_tail(now, self.next_new);
        while self.sender.may_send(now) {
            let again = self.sender.peek_resend(now, send);
            let seq = again.unwrap_or(self.next_new);
            if !self.sender.write_data(now, seq, send, &mut out) {
                break;
            }
            if again.is_none() {
                self.next_new = seq.next();
            }
            self.carried += 1;
            let datagram = std::mem::take(&mut out);
            if self.lose_every == 0 || !self.carried.is_multiple_of(self.lose_every) {
                self.post_forth(now, datagram);
            }
        }
    }

    fn post_forth(&mut self, now: Instant, datagram: Vec<u8>) {
        if self.dead_from.is_none_or(|dead| now < dead) {
            self.forth.push_back((now + self.delay, datagram));
        }
    }

    /// The receiving end takes what has come, merges it into the one receive buffer, and answers.
    fn pump_receiver(&mut self, now: Instant, receive: &mut ReceiveBuffer) {
        while self.forth.front().is_some_and(|(at, _)| *at <= now) {
            let (_, datagram) = self.forth.pop_front().unwrap();
            match Packet::parse(&datagram).unwrap() {
                Packet::Data(data) => {
                    let insertion = receive.insert(now, &data.header, data.payload);
                    if insertion == Insertion::Duplicate {
                        self.duplicates += 1;
                    }
                    self.receiver.on_data(now, &data.header, data.payload.len(), receive);
                }
                Packet::Control(control) => {
                    if let Control::AckAck { number } = control.control {
                        self.receiver.on_ackack(now, number, control.timestamp, receive);
                    }
                }
            }
        }
        let mut out = Vec::new();
        while self.receiver.poll_control(now, receive, &mut out) {
            let datagram = std::mem::take(&mut out);
            if self.dead_from.is_none_or(|dead| now < dead) {
                self.back.push_back((now + self.delay, datagram));
            }
        }
    }

    /// The sending end hears what came back.
    fn hear(&mut self, now: Instant, send: &SendBuffer) {
        while self.back.front().is_some_and(|(at, _)| *at <= now) {
            let (_, datagram) = self.back.pop_front().unwrap();
            let Packet::Control(control) = Packet::parse(&datagram).unwrap() else {
                panic!("data came back")
            };
            match control.control {
                Control::Ack(ack) => {
                    assert!(!ack.next.is_after(self.next_new), "a link acknowledges only what it carried");
                    if let Some(next) = self.sender.on_ack(&ack) {
                        self.acknowledged = next;
                    }
                }
                Control::Nak(report) => {
                    assert!(
                        report.iter().all(|(_, last)| last.is_before(self.next_new)),
                        "nothing asked for above"
                    );
                    self.sender.on_nak(now, &report, send);
                }
                _ => {}
            }
        }
    }
}

struct Outcome {
    played: Vec<u32>,
    late_us: Vec<i64>,
    paths: [Path; 2],
}

/// Sends `count` messages, one each millisecond, over both links, and plays them.
fn run(isn: u32, count: u32, mut paths: [Path; 2]) -> Outcome {
    let isn = SeqNumber::new(isn);
    let mut send = SendBuffer::new(isn, Instant::from_micros(0), 8_192, 1_316);
    // The play clock is the first link's: what is stamped 0 left at 0 and took that link's delay.
    let tsbpd = Tsbpd::new(Instant::from_micros(0) + paths[0].delay, Timestamp::new(0), LATENCY);
    let receive = |tsbpd| ReceiveBuffer::new(ReceiveParameters::new(isn, 8_192, 1_456, tsbpd, true));
    let (mut received, nothing) = (receive(Some(tsbpd)), receive(None));
    let (mut played, mut late_us, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for us in (0..u64::from(count) * 1_000 + 2_000_000).step_by(100) {
        let now = Instant::from_micros(us);
        let number = u32::try_from(us / 1_000).unwrap();
        if us % 1_000 == 0 && number < count {
            send.push(now, Message::new(&number.to_be_bytes())).unwrap();
        }
        for path in &mut paths {
            path.hear(now, &send);
            path.pump_sender(now, &send, &nothing);
            path.pump_receiver(now, &mut received);
        }
        // The owner of the stream lets go of what every live link has brought, and of what is too late for any.
        let live = paths.iter().filter(|path| path.dead_from.is_none_or(|dead| now < dead));
        let first = live
            .map(|path| path.acknowledged)
            .reduce(|one, other| if other.is_before(one) { other } else { one });
        if let Some(first) = first {
            send.release(first);
        }
        out.clear();
        while let Some(message) = received.pop(now, &mut out) {
            let start = out.len() - message.len;
            played.push(u32::from_be_bytes(out[start..].try_into().unwrap()));
            late_us.push(now.signed_since(message.play_time));
            for path in &mut paths {
                path.receiver.on_played(now, &received);
            }
        }
    }
    Outcome { played, late_us, paths }
}

fn all(count: u32) -> Vec<u32> {
    (0..count).collect()
}

#[test]
fn the_first_copy_wins_and_each_link_acknowledges_for_itself() {
    let isn = SeqNumber::new(0x7FFF_FF00); // the numbers wrap on the way
    let outcome = run(isn.value(), 2_000, [Path::new(0, isn, 20, 0), Path::new(1, isn, 60, 0)]);
    assert_eq!(outcome.played, all(2_000));
    assert!(outcome.late_us.iter().all(|late| (0..=100).contains(late)), "played on time");
    let [fast, slow] = &outcome.paths;
    assert_eq!((fast.duplicates, slow.duplicates), (0, 2_000), "the slow link's copies are the second ones");
    for path in &outcome.paths {
        assert_eq!(path.acknowledged, isn + 2_000);
        assert_eq!(path.receiver.counters().naks_sent, 0);
        assert_eq!(path.sender.counters().retransmitted_packets, 0);
    }
}

#[test]
fn each_link_repairs_its_own_losses() {
    let isn = SeqNumber::new(1);
    let outcome = run(1, 2_000, [Path::new(0, isn, 20, 10), Path::new(1, isn, 30, 7)]);
    assert_eq!(outcome.played, all(2_000));
    for path in &outcome.paths {
        assert_eq!(path.acknowledged, isn + 2_000, "what was lost on a link was sent again on it");
        assert!(path.sender.counters().retransmitted_packets > 100);
    }
}

#[test]
fn the_death_of_a_link_is_not_seen_by_the_viewer() {
    let isn = SeqNumber::new(1);
    let mut paths = [Path::new(0, isn, 20, 0), Path::new(1, isn, 60, 20)];
    paths[0].dead_from = Some(Instant::from_micros(1_000_000));
    let outcome = run(1, 2_000, paths);
    assert_eq!(outcome.played, all(2_000));
    assert!(outcome.late_us.iter().all(|late| (0..=100).contains(late)), "played on time");
    assert!(outcome.paths[0].acknowledged.is_before(isn + 1_001), "a dead link acknowledges nothing");
}
