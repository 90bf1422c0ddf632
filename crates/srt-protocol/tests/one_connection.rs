//! The smallest world a connection lives in: two ends, a wire with a delay and a loss rate, and a clock that is moved.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use srt_protocol::{
    config::{Config, SocketOption},
    connection::{CallerSetup, Connection, ConnectionError, Event, RecvError, State, TransmitBatch},
    endpoint::{Endpoint, Route},
    entropy,
    handshake::RejectReason,
    packet::{Ack, AckDetail, Control, ControlPacket},
    stream::Message,
    time::{Instant, Micros},
    types::{SeqNumber, SocketId, Timestamp},
};

const CALLER: SocketId = SocketId::new(11);
const ACCEPTED: SocketId = SocketId::new(22);
const STEP_US: u64 = 250;

struct World {
    now: Instant,
    delay: Micros,
    loss_percent: u64,
    random: u64,
    caller: Connection,
    accepted: Option<Connection>,
    endpoint: Endpoint,
    to_listener: VecDeque<(Instant, Vec<u8>)>,
    to_caller: VecDeque<(Instant, Vec<u8>)>,
    reject: Option<RejectReason>,
    played: Vec<Vec<u8>>,
    lateness_us: Vec<i64>,
}

fn caller_addr() -> SocketAddr {
    "192.0.2.1:5000".parse().unwrap()
}

fn listener_addr() -> SocketAddr {
    "192.0.2.2:6000".parse().unwrap()
}

impl World {
    fn new(loss_percent: u64, configure: impl Fn(&mut Config)) -> Self {
        let mut config = Config::live();
        configure(&mut config);
        let now = Instant::from_micros(1_000_000);
        let mut endpoint = Endpoint::new([3; 16], Arc::new(entropy::Nothing));
        endpoint.listen(Config::live(), 10);
        let setup = CallerSetup {
            config,
            peer: listener_addr(),
            local_ip: None,
            id: CALLER,
            isn: SeqNumber::new(0x7FFF_FFF0),
            entropy: Arc::new(entropy::Nothing),
        };
        Self {
            now,
            delay: Micros::from_millis(20),
            loss_percent,
            random: 0x1234_5678_9ABC_DEF1,
            caller: Connection::connect(now, setup),
            accepted: None,
            endpoint,
            to_listener: VecDeque::new(),
            to_caller: VecDeque::new(),
            reject: None,
            played: Vec::new(),
            lateness_us: Vec::new(),
        }
    }

    fn lost(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100 < self.loss_percent
    }

    fn post(&mut self, transmit_len: usize, segment: usize, bytes: &[u8], from_caller: bool) {
        for datagram in bytes[..transmit_len].chunks(segment) {
            if !self.lost() {
                let queue = if from_caller { &mut self.to_listener } else { &mut self.to_caller };
                queue.push_back((self.now + self.delay, datagram.to_vec()));
            }
        }
    }

    fn step(&mut self) {
        self.now += Micros::from_micros(STEP_US);
        let now = self.now;
        while self.to_listener.front().is_some_and(|(at, _)| *at <= now) {
            let (_, datagram) = self.to_listener.pop_front().unwrap();
            if let Route::Connection(id) = self.endpoint.handle_datagram(now, caller_addr(), None, &datagram)
            {
                assert_eq!(id, ACCEPTED);
                self.accepted.as_mut().unwrap().handle_datagram(now, &datagram);
            }
        }
        while let Some(incoming) = self.endpoint.poll_incoming() {
            match self.reject {
                Some(reason) => self.endpoint.reject(now, &incoming, reason),
                None => {
                    let accepted = self.endpoint.accept(now, &incoming, Config::live(), ACCEPTED).unwrap();
                    assert!(
                        self.accepted.replace(accepted).is_none(),
                        "a repeated conclusion is no new connection"
                    );
                }
            }
        }
        while self.to_caller.front().is_some_and(|(at, _)| *at <= now) {
            let (_, datagram) = self.to_caller.pop_front().unwrap();
            self.caller.handle_datagram(now, &datagram);
        }
        let mut batch = TransmitBatch::default();
        if self.caller.next_timeout().is_some_and(|deadline| deadline.at <= now) {
            self.caller.handle_timeout(now);
        }
        while let Some(transmit) = self.caller.poll_transmit(now, &mut batch) {
            self.post(transmit.len, transmit.segment_size, batch.bytes(), true);
        }
        while let Some(transmit) = self.endpoint.poll_transmit(&mut batch) {
            self.post(transmit.len, transmit.segment_size, batch.bytes(), false);
        }
        if let Some(mut accepted) = self.accepted.take() {
            if accepted.next_timeout().is_some_and(|deadline| deadline.at <= now) {
                accepted.handle_timeout(now);
            }
            let mut out = Vec::new();
            while let Ok(received) = accepted.recv(now, &mut out) {
                self.played.push(out[out.len() - received.len..].to_vec());
                self.lateness_us.push(now.signed_since(received.play_time));
            }
            while let Some(transmit) = accepted.poll_transmit(now, &mut batch) {
                self.post(transmit.len, transmit.segment_size, batch.bytes(), false);
            }
            self.accepted = Some(accepted);
        }
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..400_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("{what} did not happen; caller {:?}", self.caller.state());
    }

    fn connect(&mut self) {
        self.run_until("connect", |world| {
            world.caller.state() == State::Connected && world.accepted.is_some()
        });
    }
}

fn message(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(300)
}

#[test]
fn a_stream_gets_through_ten_percent_loss_in_order_and_on_time() {
    let mut world = World::new(10, |config| config.set(SocketOption::Latency, 400).unwrap());
    world.connect();
    for n in 0..4_000 {
        world.caller.send(world.now, Message::new(&message(n))).unwrap();
        world.step();
        world.step();
    }
    world.caller.close(world.now);
    world.run_until("end", |world| world.caller.state() == State::Closed);
    let closed = |world: &World| world.accepted.as_ref().unwrap().state() == State::Closed;
    world.run_until("the peer's end", closed);
    assert_eq!(world.played.len(), 4_000);
    assert!(world.played.iter().enumerate().all(|(n, data)| *data == message(u32::try_from(n).unwrap())));
    let slack = i64::try_from(STEP_US).unwrap();
    assert!(world.lateness_us.iter().all(|late| (0..=slack).contains(late)));
    let stats = world.caller.stats(world.now, false);
    assert_eq!(stats.pkt_sent_unique_total, 4_000);
    assert!((300..700).contains(&stats.pkt_retrans_total), "{} sent again", stats.pkt_retrans_total);
    let mut out = Vec::new();
    let ended = world.accepted.as_mut().unwrap().recv(world.now, &mut out);
    assert_eq!(ended, Err(RecvError::Closed(ConnectionError::PeerShutdown)));
}

#[test]
fn a_rejection_reaches_the_caller() {
    let mut world = World::new(0, |_| {});
    world.reject = Some(RejectReason::NOT_FOUND);
    world.run_until("rejection", |world| world.caller.state() == State::Closed);
    let error = ConnectionError::Rejected(RejectReason::NOT_FOUND);
    assert_eq!(world.caller.close_reason(), Some(error));
    assert_eq!(world.caller.poll_event(), Some(Event::Closed(error)));
}

#[test]
fn nobody_there_is_a_timeout() {
    let mut world = World::new(100, |config| config.set(SocketOption::ConnTimeo, 1_000).unwrap());
    world.run_until("timeout", |world| world.caller.state() == State::Closed);
    assert_eq!(world.caller.close_reason(), Some(ConnectionError::Timeout));
    assert!(world.now.saturating_since(Instant::from_micros(1_000_000)) <= Micros::from_micros(1_000_500));
}

#[test]
fn a_peer_that_vanishes_is_noticed_and_an_idle_one_is_not() {
    let mut world = World::new(0, |_| {});
    world.connect();
    let start = world.now;
    world.run_until("a minute", |world| world.now.saturating_since(start) > Micros::from_secs(60));
    assert_eq!(world.caller.state(), State::Connected, "keepalives are enough");
    world.loss_percent = 100;
    world.run_until("the end", |world| world.caller.state() == State::Closed);
    assert_eq!(world.caller.close_reason(), Some(ConnectionError::PeerIdle));
}

#[test]
fn an_idle_connection_wakes_once_a_second() {
    let mut world = World::new(0, |_| {});
    world.connect();
    world.run_until("quiet", |world| world.now > Instant::from_micros(3_000_000));
    let (mut wakes, end) = (0, world.now + Micros::from_secs(10));
    while world.now < end {
        let due = world
            .caller
            .next_timeout()
            .is_some_and(|deadline| deadline.at <= world.now + Micros::from_micros(STEP_US));
        wakes += u32::from(due);
        world.step();
    }
    assert!(wakes <= 11, "{wakes} wake-ups in 10 s");
}

#[test]
fn the_end_comes_with_the_last_message_where_the_peer_is_gone_before_it() {
    let mut world = World::new(0, |config| config.set(SocketOption::Latency, 400).unwrap());
    world.connect();
    world.caller.send(world.now, Message::new(&message(1))).unwrap();
    world.step();
    world.caller.abort(world.now); // SHUTDOWN comes long before the message is due, as with libsrt
    world.run_until("the peer's end", |world| world.accepted.as_ref().unwrap().state() == State::Closed);
    assert_eq!(world.played.len(), 1);
}

#[test]
fn a_peer_may_tell_any_round_trip() {
    for (rtt_us, rtt_var_us) in [(u32::MAX, u32::MAX), (0, 0), (900_000, 900_000), (0, u32::MAX)] {
        let mut world = World::new(0, |_| {});
        world.connect();
        let (next, _) = world.caller.next_numbers().unwrap();
        let detail = AckDetail::Small { rtt_us, rtt_var_us, available_packets: 100 };
        let mut datagram = Vec::new();
        let control = Control::Ack(Ack { number: 1, next, detail });
        ControlPacket { timestamp: Timestamp::new(1), destination: CALLER, control }.write(&mut datagram);
        world.caller.handle_datagram(world.now, &datagram);
        // What is sent now is never acknowledged: it is sent again unasked until it is given up.
        let (mut turns, mut batch) = (0, TransmitBatch::default());
        world.caller.send(world.now, Message::new(b"one")).unwrap();
        let until = world.now + Micros::from_secs(20);
        while let Some(deadline) = world.caller.next_timeout().filter(|deadline| deadline.at < until) {
            world.now = world.now.max(deadline.at);
            world.caller.handle_timeout(world.now);
            while world.caller.poll_transmit(world.now, &mut batch).is_some() {}
            turns += 1;
            assert!(turns < 500, "told {rtt_us} µs ± {rtt_var_us}, the timer {deadline:?} never rests");
        }
    }
}

/// A control packet to the caller.
fn control(control: Control<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    ControlPacket { timestamp: Timestamp::new(1), destination: CALLER, control }.write(&mut datagram);
    datagram
}

#[test]
fn who_closes_after_the_peer_is_gone_learns_what_it_left() {
    let mut world = World::new(0, |_| {});
    world.connect();
    for n in 0..5 {
        world.caller.send(world.now, Message::new(&message(n))).unwrap();
    }
    world.caller.handle_datagram(world.now, &control(Control::Shutdown));
    world.caller.close(world.now);
    assert_eq!((world.caller.state(), world.caller.unconfirmed()), (State::Closed, 5));

    let mut world = World::new(0, |_| {});
    world.connect();
    world.caller.send(world.now, Message::new(b"meant to be lost")).unwrap();
    world.caller.abort(world.now);
    world.run_until("the end", |world| world.caller.state() == State::Closed);
    assert_eq!(world.caller.unconfirmed(), 0);
}

#[test]
fn a_shut_window_is_knocked_at_however_much_else_there_is_to_say() {
    let mut world = World::new(0, |_| {});
    world.connect();
    let (next, _) = world.caller.next_numbers().unwrap();
    let detail = AckDetail::Small { rtt_us: 40_000, rtt_var_us: 1_000, available_packets: 0 };
    world.caller.handle_datagram(world.now, &control(Control::Ack(Ack { number: 1, next, detail })));
    world.caller.send(world.now, Message::new(b"knock")).unwrap();
    let (mut batch, mut knocked) = (TransmitBatch::default(), false);
    for _ in 0..200 {
        // The other direction is busy: every 5 ms an ACK is to be confirmed.
        world.now += Micros::from_millis(5);
        let full = Ack {
            number: 2,
            next,
            detail: AckDetail::Small { rtt_us: 40_000, rtt_var_us: 1_000, available_packets: 0 },
        };
        world.caller.handle_datagram(world.now, &control(Control::Ack(full)));
        world.caller.handle_timeout(world.now);
        while let Some(transmit) = world.caller.poll_transmit(world.now, &mut batch) {
            knocked |= batch.bytes()[..transmit.len][0] & 0x80 == 0;
        }
    }
    assert!(knocked, "no data packet in a second");
}
