//! Instructions a packet costs, counted by callgrind: the same on every run, however busy the machine is.
//!
//! `cargo bench --package srt-protocol --bench instructions` runs this program once for each step of the packet path under
//! `valgrind --tool=callgrind`, which counts inside the functions named `counted_…` alone, and prints what one operation
//! takes. Without valgrind it says so, and that is all.

#![allow(clippy::unwrap_used, reason = "a bench ends by panicking where its world does not come to be")]

use std::{hint::black_box, net::SocketAddr, process::Command, sync::Arc};

use srt_protocol::{
    config::{Config, SocketOption},
    connection::{CallerSetup, Connection, State, TransmitBatch},
    endpoint::Endpoint,
    entropy,
    packet::{Ack, AckDetail, Control, ControlPacket, LossReport},
    stream::Message,
    time::{Instant, Micros},
    types::{SeqNumber, SocketId, Timestamp},
};

/// Operations a count is the mean of.
const OPERATIONS: u32 = 4_096;
/// As many as the send buffer takes.
const ROUND: u32 = 512;
const PAYLOAD: [u8; 1_316] = [7; 1_316];
const LATENCY: Micros = Micros::from_millis(120);

/// A step of the packet path, and how often `run` does it.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&mut World),
}

const STEPS: [Step; 6] = [
    Step { name: "send", what: "send: take a message, write its packet into a train", run: send },
    Step { name: "receive", what: "receive: take a packet in order, hand out its message", run: receive },
    Step { name: "ack", what: "take a full ACK of 16 packets, answer it", run: ack },
    Step { name: "nak", what: "take a NAK of one packet, send it again", run: nak },
    Step { name: "lost", what: "find a packet missing, report it, take it late", run: lost },
    Step { name: "timer", what: "a timer with nothing due, and when the next one is", run: timer },
];

fn main() {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("step") {
        let name = words.next().unwrap_or_default();
        let step = STEPS.iter().find(|step| step.name == name).unwrap();
        (step.run)(&mut World::new());
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: not counted, valgrind is not installed");
        return;
    }
    println!("instructions an operation, the memory copies of 1316 bytes included:");
    for step in &STEPS {
        match count(step.name) {
            Some(instructions) => println!("{:>8}  {}", instructions / u64::from(OPERATIONS), step.what),
            None => println!("       ?  {}: callgrind gave no count", step.what),
        }
    }
}

/// Runs one step under callgrind; gives the instructions counted.
fn count(name: &str) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*counted_*")
        .arg(std::env::current_exe().ok()?)
        .args(["step", name])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

// ---- the steps ---------------------------------------------------------------------------------------------------

fn send(world: &mut World) {
    for _ in 0..OPERATIONS / ROUND {
        counted_send(world);
        let packet = world.acknowledgement(1);
        world.caller.handle_datagram(world.now, &packet);
    }
}

fn receive(world: &mut World) {
    for _ in 0..OPERATIONS / ROUND {
        world.offer(ROUND);
        let (datagrams, _) = world.collect();
        counted_receive(world, &datagrams);
        world.now += LATENCY + Micros::from_millis(50);
        counted_hand_out(world);
        world.carry();
    }
}

fn ack(world: &mut World) {
    for number in 1..=OPERATIONS {
        world.offer(16);
        world.collect();
        let packet = world.acknowledgement(number);
        counted_ack(world, &packet);
    }
}

fn nak(world: &mut World) {
    for _ in 0..OPERATIONS / ROUND {
        let (first, _) = world.caller.next_numbers().unwrap();
        world.offer(ROUND);
        world.collect();
        world.now += Micros::from_millis(50);
        for n in 0..ROUND {
            let seq = first + n;
            let packet = world.control(Control::Nak(LossReport::Ranges(&[(seq, seq)])));
            counted_nak(world, &packet);
        }
        world.carry();
        world.release();
    }
}

fn lost(world: &mut World) {
    for _ in 0..OPERATIONS / ROUND {
        world.offer(ROUND * 2);
        let (datagrams, _) = world.collect();
        for pair in datagrams.chunks(2) {
            counted_lost(world, &pair[0], &pair[1]);
        }
        world.now += LATENCY + Micros::from_millis(50);
        world.play();
        world.carry();
        world.release();
    }
}

fn timer(world: &mut World) {
    world.offer(64);
    world.collect();
    for _ in 0..OPERATIONS {
        counted_timer(world);
    }
}

#[inline(never)]
fn counted_send(world: &mut World) {
    let mut batch = std::mem::take(&mut world.batch);
    for _ in 0..ROUND {
        black_box(world.caller.send(world.now, Message::new(&PAYLOAD))).unwrap();
    }
    while let Some(transmit) = world.caller.poll_transmit(world.now, &mut batch) {
        black_box(transmit);
    }
    world.batch = batch;
}

#[inline(never)]
fn counted_receive(world: &mut World, datagrams: &[Vec<u8>]) {
    for datagram in datagrams {
        world.accepted.handle_datagram(world.now, black_box(datagram));
    }
}

#[inline(never)]
fn counted_hand_out(world: &mut World) {
    world.out.clear();
    while let Ok(received) = world.accepted.recv(world.now, &mut world.out) {
        black_box(received);
    }
}

#[inline(never)]
fn counted_ack(world: &mut World, packet: &[u8]) {
    world.caller.handle_datagram(world.now, black_box(packet));
    while world.caller.poll_transmit(world.now, &mut world.batch).is_some() {}
}

#[inline(never)]
fn counted_nak(world: &mut World, packet: &[u8]) {
    world.caller.handle_datagram(world.now, black_box(packet));
    while world.caller.poll_transmit(world.now, &mut world.batch).is_some() {}
}

#[inline(never)]
fn counted_lost(world: &mut World, first: &[u8], second: &[u8]) {
    world.accepted.handle_datagram(world.now, black_box(second));
    while world.accepted.poll_transmit(world.now, &mut world.batch).is_some() {}
    world.accepted.handle_datagram(world.now, black_box(first));
}

#[inline(never)]
fn counted_timer(world: &mut World) {
    world.caller.handle_timeout(black_box(world.now));
    black_box(world.caller.next_timeout());
}

// ---- their world -------------------------------------------------------------------------------------------------

/// Two ends that are connected, without a wire between them.
struct World {
    now: Instant,
    caller: Connection,
    accepted: Connection,
    batch: TransmitBatch,
    out: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let (here, there): (SocketAddr, SocketAddr) =
            ("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:6000".parse().unwrap());
        let mut config = Config::live();
        config.set(SocketOption::Latency, i32::try_from(LATENCY.as_millis()).unwrap()).unwrap();
        let mut now = Instant::from_micros(1_000_000);
        let mut endpoint = Endpoint::new([7; 16], Arc::new(entropy::Nothing));
        endpoint.listen(config.clone(), 10);
        let (id, isn) = (SocketId::new(11), SeqNumber::new(1_000));
        let entropy = Arc::new(entropy::Nothing);
        let setup = CallerSetup { config: config.clone(), peer: there, local_ip: None, id, isn, entropy };
        let mut caller = Connection::connect(now, setup);
        let (mut batch, mut accepted) = (TransmitBatch::default(), None);
        while caller.state() != State::Connected {
            now += Micros::from_millis(1);
            while caller.poll_transmit(now, &mut batch).is_some() {
                endpoint.handle_datagram(now, here, None, batch.bytes());
            }
            while let Some(incoming) = endpoint.poll_incoming() {
                accepted = endpoint.accept(now, &incoming, config.clone(), SocketId::new(22)).ok();
            }
            while endpoint.poll_transmit(&mut batch).is_some() {
                caller.handle_datagram(now, batch.bytes());
            }
        }
        let mut world = Self { now, caller, accepted: accepted.unwrap(), batch, out: Vec::new() };
        // A first exchange, so that the round trip is known and all memory is there.
        for _ in 0..4 {
            world.offer(ROUND * 2);
            world.carry();
        }
        world
    }

    fn offer(&mut self, messages: u32) {
        for _ in 0..messages {
            self.caller.send(self.now, Message::new(&PAYLOAD)).unwrap();
        }
    }

    /// What the caller sends, datagram by datagram.
    fn collect(&mut self) -> (Vec<Vec<u8>>, usize) {
        let mut datagrams = Vec::new();
        while let Some(transmit) = self.caller.poll_transmit(self.now, &mut self.batch) {
            datagrams.extend(self.batch.bytes().chunks(transmit.segment_size).map(<[u8]>::to_vec));
        }
        let count = datagrams.len();
        (datagrams, count)
    }

    /// Carries everything in both directions until there is nothing more, with 20 ms a way.
    fn carry(&mut self) {
        for _ in 0..20 {
            let (datagrams, there) = self.collect();
            self.now += Micros::from_millis(20);
            for datagram in datagrams {
                self.accepted.handle_datagram(self.now, &datagram);
            }
            self.accepted.handle_timeout(self.now);
            self.play();
            let mut back = Vec::new();
            while let Some(transmit) = self.accepted.poll_transmit(self.now, &mut self.batch) {
                back.extend(self.batch.bytes().chunks(transmit.segment_size).map(<[u8]>::to_vec));
            }
            self.now += Micros::from_millis(20);
            if back.is_empty() && there == 0 {
                break;
            }
            for datagram in back {
                self.caller.handle_datagram(self.now, &datagram);
            }
        }
    }

    /// The caller forgets everything it has sent.
    fn release(&mut self) {
        self.now += Micros::from_secs(2);
        self.caller.handle_timeout(self.now);
    }

    fn play(&mut self) {
        self.out.clear();
        while self.accepted.recv(self.now, &mut self.out).is_ok() {}
    }

    /// A full ACK of everything sent.
    fn acknowledgement(&self, number: u32) -> Vec<u8> {
        let detail = AckDetail::Full {
            rtt_us: 40_000,
            rtt_var_us: 1_000,
            available_packets: 8_000,
            receive_rate_pps: 1_000,
            link_capacity_pps: 10_000,
            receive_rate_bps: 1_000_000,
        };
        let (next, _) = self.caller.next_numbers().unwrap();
        self.control(Control::Ack(Ack { number, next, detail }))
    }

    /// A control packet from the listener's side.
    fn control(&self, control: Control<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        ControlPacket { timestamp: Timestamp::new(1), destination: SocketId::new(11), control }
            .write(&mut out);
        out
    }
}
