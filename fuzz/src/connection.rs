//! A connection that a listener accepted, and a peer that says anything at any time.
//!
//! The peer is made of [`Step`]s, most of them well-formed packets with numbers near those in use: bytes alone would
//! hardly get past the first check. Time is a number here, so an hour passes in no time.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use arbitrary::Arbitrary;

use crate::{
    Counting,
    keys::{Answer, Caller, PASSPHRASE, Request, SECURED},
    wire,
};
use srt_crypto::CipherMode;
use srt_protocol::{
    config::{Config, OptionValue, SocketOption},
    connection::{Connection, Event, RecvError, State, TransmitBatch},
    endpoint::{AcceptError, Endpoint, Route},
    handshake::RejectReason,
    packet::{
        Ack, AckDetail, Boundary, Control, ControlPacket, DataHeader, DataPacket, DropRequest, EXT_HSREQ,
        EXT_KMREQ, Extension, Extensions, HEADER_SIZE, Handshake, HandshakeKind, KEY_MATERIAL_MAX, KMREQ,
        KMRSP, KeyFlag, LossReport, Packet, SrtFlags, SrtParameters, UDP_IP_OVERHEAD,
    },
    stream::Message,
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

/// The life of one connection.
#[derive(Arbitrary, Debug)]
pub struct Scenario {
    agreement: Agreement,
    steps: Vec<Step>,
}

/// What the handshake agrees.
#[derive(Arbitrary, Debug)]
struct Agreement {
    isn: u32,
    /// When it happens, on our clock and on the peer's.
    start_ms: u32,
    peer_time: u32,
    peer_flags: u8,
    peer_latencies: (u16, u16),
    peer_mtu: u16,
    peer_window: u16,
    latency_ms: u16,
    no_tsbpd: bool,
    no_tlpktdrop: bool,
    no_nak_report: bool,
    no_drift_tracer: bool,
    loss_max_ttl: u8,
    linger_s: u8,
    send_packets: u8,
    receive_packets: u8,
    max_bw: Option<u32>,
    max_rexmit_bw: Option<u32>,
    snd_drop_delay_ms: u16,
    retransmit_all: bool,
    encryption: Option<Encryption>,
}

/// What the two know of a passphrase, and what they want of it.
#[derive(Arbitrary, Debug)]
struct Encryption {
    /// The listener, we, has none.
    no_passphrase: bool,
    /// What the caller says in its conclusion.
    request: Option<Request>,
    mode: u8,
    length: u8,
    relaxed: bool,
    crypto_mode: u8,
    refresh_rate: u8,
    pre_announce: u8,
    /// The caller does not answer by itself.
    silent: bool,
}

/// Something that happens.
#[derive(Arbitrary, Debug)]
enum Step {
    /// The peer sends this.
    Raw(Vec<u8>),
    /// The peer sends this behind a header of the given kind, to the right socket.
    RawControl {
        kind: u8,
        info: u32,
        content: Vec<u8>,
    },
    /// The peer sends a data packet.
    Data {
        seq: Near,
        at: Stamp,
        len: u16,
        boundary: u8,
        msgno: u32,
        flags: u8,
    },
    /// The peer sends so many in a row.
    Burst {
        count: u8,
        skip: u8,
        len: u16,
    },
    Ack {
        next: Near,
        number: u32,
        form: u8,
        figures: [u32; 6],
    },
    Nak {
        ranges: Vec<(Near, u8)>,
    },
    AckAck {
        number: Choice,
        at: Stamp,
    },
    DropRequest {
        msgno: u32,
        first: Near,
        span: u16,
    },
    Keepalive(Stamp),
    CongestionWarning,
    PeerError(u32),
    Shutdown,
    /// Time passes: tenths of a millisecond, seconds, or up to a deadline.
    Wait(u16),
    WaitLong(u8),
    WaitForTimer,
    WaitForDelivery,
    Timeout,
    Transmit,
    /// One batch only, as large as this.
    TransmitOne(u8),
    Events,
    Send {
        len: u16,
        ttl_ms: Option<u16>,
        source_time: Option<i32>,
    },
    Recv,
    SetOption {
        option: u8,
        value: i64,
    },
    Stats {
        clear: bool,
        instantaneous: bool,
    },
    Close,
    Abort,
    /// The peer announces keys, or pretends to.
    KeyRequest(Request),
    KeyAnswer(Answer),
    /// The peer's packets go under its other key from now on.
    OtherKey,
    /// The peer sends a data packet with a bit flipped behind its number and the flags.
    Flipped {
        seq: Near,
        len: u16,
        bit: u16,
    },
}

/// A sequence number, mostly one that matters.
#[derive(Arbitrary, Debug)]
enum Near {
    /// Next to what comes next (data) or was sent last (ACK, NAK).
    Next(i8),
    /// So far from the first number.
    First(i16),
    Any(u32),
}

/// The peer's clock on a packet.
#[derive(Arbitrary, Debug)]
enum Stamp {
    Right,
    Off(i16),
    Any(u32),
}

/// A number seen lately, or any.
#[derive(Arbitrary, Debug)]
enum Choice {
    Recent(u8),
    Any(u32),
}

const PEER_ID: SocketId = SocketId::new(0x2B00_0001);
const OUR_ID: SocketId = SocketId::new(0x2A00_0002);
const STEPS_MAX: usize = 400;
/// Batches at one moment, after which a connection counts as one that never stops.
const BATCHES_MAX: usize = 20_000;
/// Rounds of timeout and transmission at one moment, after which it counts as one that never sleeps.
const ROUNDS_MAX: usize = 4;

impl Scenario {
    /// Plays it; false where the handshake came to nothing.
    ///
    /// # Panics
    /// Where the connection breaks one of its promises.
    pub fn play(&self) -> bool {
        let Some(mut world) = World::new(&self.agreement) else { return false };
        for step in self.steps.iter().take(STEPS_MAX) {
            world.step(step);
            world.check_memory();
        }
        world.end();
        true
    }
}

struct World {
    now: Instant,
    start: Instant,
    peer_time: u32,
    isn: SeqNumber,
    connection: Connection,
    batch: TransmitBatch,
    /// The peer's next number.
    next: SeqNumber,
    msgno: MsgNumber,
    /// ACK numbers seen, newest last.
    acks: VecDeque<u32>,
    /// Numbers that left at least once.
    sent: BTreeSet<u32>,
    /// The last number handed out or given up.
    played: Option<SeqNumber>,
    /// The peer sent bytes of its own, so that payloads prove nothing.
    raw: bool,
    /// What the peer knows of keys.
    caller: Option<Caller>,
    /// Encryption was agreed on.
    secured: bool,
    /// The peer does not answer a KMREQ by itself.
    silent: bool,
    datagram_max: usize,
    memory_max: usize,
}

impl World {
    fn new(agreement: &Agreement) -> Option<Self> {
        let config = agreement.config();
        let mut endpoint = Endpoint::new([7; 16], Arc::new(Counting::default()));
        endpoint.listen(config.clone(), 4);
        let now = Instant::from_micros(u64::from(agreement.start_ms) * 1_000);
        let peer: SocketAddr = ([192, 0, 2, 1], 5000).into();
        let isn = SeqNumber::new(agreement.isn);
        let mut batch = TransmitBatch::default();

        let induction = Control::Handshake(wire::induction(PEER_ID, isn));
        let route =
            endpoint.handle_datagram(now, peer, None, &wire::control(0, SocketId::HANDSHAKE, induction));
        assert_eq!(route, Route::Handled);
        endpoint.poll_transmit(&mut batch).expect("an induction is answered");
        let cookie = wire::handshake_of(batch.bytes()).cookie;

        let (receiver_latency_ms, sender_latency_ms) = agreement.peer_latencies;
        let parameters = SrtParameters {
            version: 0x01_0505,
            flags: SrtFlags::new(u32::from(agreement.peer_flags)),
            receiver_latency_ms,
            sender_latency_ms,
        };
        let mut blocks = vec![Extension::HandshakeRequest(parameters)];
        let mut extension_field = EXT_HSREQ;
        let mut caller = None;
        let (mut request, mut fits) = (None, false);
        if let Some(encryption) = &agreement.encryption {
            let caller = caller.insert(Caller::new(encryption.mode, encryption.length));
            if let Some(said) = &encryption.request {
                let wanted = if config.tsbpd() { config.cipher_mode() } else { Some(CipherMode::Ctr) };
                let (content, good) = caller.first_request(said, wanted);
                (request, fits) = (Some(content), good && !encryption.no_passphrase);
            }
        }
        if let Some(request) = &request {
            blocks.push(Extension::KeyMaterialRequest(request));
            extension_field |= EXT_KMREQ;
        }
        let conclusion = Handshake {
            version: 5,
            extension_field,
            kind: HandshakeKind::Conclusion,
            mtu: u32::from(agreement.peer_mtu),
            flow_window: u32::from(agreement.peer_window),
            cookie,
            extensions: Extensions::List(&blocks),
            ..wire::induction(PEER_ID, isn)
        };
        let conclusion =
            wire::control(agreement.peer_time, SocketId::HANDSHAKE, Control::Handshake(conclusion));
        endpoint.handle_datagram(now, peer, None, &conclusion);
        let incoming = endpoint.poll_incoming()?;
        let accepted = endpoint.accept(now, &incoming, config.clone(), OUR_ID);
        if let Err(AcceptError::Rejected(reason)) = &accepted {
            use RejectReason::{BadSecret, Crypto, Resource, Unsecure};
            assert!(!(fits && matches!(reason, BadSecret | Crypto | Resource | Unsecure)), "{reason}");
        }
        let mut connection = accepted.ok()?;
        assert_eq!(connection.state(), State::Connected);
        let states = keys_of(connection.link()?);
        let secured = states == SECURED;
        assert!(secured || !fits, "a good KMREQ led to {states:?}");
        endpoint.poll_transmit(&mut batch).expect("a conclusion is answered");
        let answer = wire::handshake_of(batch.bytes());
        let answer = answer.extensions.iter().flatten().find_map(|block| match block {
            Extension::KeyMaterialResponse(content) => Some(content.to_vec()),
            _ => None,
        });
        if secured {
            assert_eq!(answer, request, "a KMRSP is the KMREQ again");
            let (caller, request) = (caller.as_mut().expect("who else"), request.expect("answered"));
            caller.on_accepted(&request);
        } else {
            assert!(answer.is_none_or(|answer| answer.len() == 4), "a KMRSP for what was of no use");
        }
        // Only good key material is known to the caller as well.
        let raw = secured && !fits;
        let mss = connection.negotiated()?.mss;
        let _ = connection.stats(now, true);
        Some(Self {
            now,
            start: now,
            peer_time: agreement.peer_time,
            isn,
            connection,
            batch,
            next: isn,
            msgno: MsgNumber::FIRST,
            acks: VecDeque::new(),
            sent: BTreeSet::new(),
            played: None,
            raw,
            caller,
            secured,
            silent: agreement.encryption.as_ref().is_some_and(|encryption| encryption.silent),
            datagram_max: mss as usize - UDP_IP_OVERHEAD,
            memory_max: memory_max(config.send_buffer_packets())
                + memory_max(config.receive_buffer_packets()),
        })
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Raw(ref datagram) => {
                self.raw = true;
                self.connection.handle_datagram(self.now, datagram);
            }
            Step::RawControl { kind, info, ref content } => {
                let mut datagram =
                    wire::control_header(if kind == 0xFF { 0x7FFF } else { u16::from(kind % 10) });
                datagram[4..8].copy_from_slice(&info.to_be_bytes());
                datagram[8..12].copy_from_slice(&self.peer_clock().to_be_bytes());
                datagram[12..].copy_from_slice(&OUR_ID.value().to_be_bytes());
                datagram.extend_from_slice(content);
                self.connection.handle_datagram(self.now, &datagram);
            }
            Step::Data { ref seq, ref at, len, boundary, msgno, flags } => {
                let header = DataHeader {
                    seq: self.seq(seq, self.next),
                    boundary: [Boundary::Solo, Boundary::First, Boundary::Middle, Boundary::Last]
                        [usize::from(boundary % 4)],
                    in_order: flags & 1 != 0,
                    key: KeyFlag::None,
                    retransmitted: flags & 2 != 0,
                    msgno: if flags & 4 == 0 { self.msgno } else { MsgNumber::new(msgno) },
                    timestamp: self.stamp(at),
                    destination: OUR_ID,
                };
                match flags & 0xF0 {
                    0xF0 => self.plain_data(DataHeader { key: KeyFlag::Even, ..header }, len),
                    0xE0 => self.plain_data(header, len),
                    _ => self.data(header, len),
                }
            }
            Step::Burst { count, skip, len } => {
                self.next = self.next + u32::from(skip % 8);
                for _ in 0..count {
                    let header = DataHeader {
                        seq: self.next,
                        boundary: Boundary::Solo,
                        in_order: false,
                        key: KeyFlag::None,
                        retransmitted: false,
                        msgno: self.msgno,
                        timestamp: self.stamp(&Stamp::Right),
                        destination: OUR_ID,
                    };
                    self.data(header, len);
                }
            }
            Step::Ack {
                ref next,
                number,
                form,
                figures: [rtt_us, rtt_var_us, available_packets, a, b, c],
            } => {
                let detail = match form % 3 {
                    0 => AckDetail::Light,
                    1 => AckDetail::Small { rtt_us, rtt_var_us, available_packets },
                    _ => AckDetail::Full {
                        rtt_us,
                        rtt_var_us,
                        available_packets,
                        receive_rate_pps: a,
                        link_capacity_pps: b,
                        receive_rate_bps: c,
                    },
                };
                let next = self.sent_seq(next);
                self.control(Control::Ack(Ack { number, next, detail }));
            }
            Step::Nak { ref ranges } => {
                let ranges: Vec<_> = ranges
                    .iter()
                    .take(180)
                    .map(|(first, more)| {
                        let first = self.sent_seq(first);
                        (first, first + u32::from(*more))
                    })
                    .collect();
                self.control(Control::Nak(LossReport::Ranges(&ranges)));
            }
            Step::AckAck { ref number, ref at } => {
                let number = match *number {
                    Choice::Any(number) => number,
                    Choice::Recent(back) => {
                        let index = self.acks.len().saturating_sub(1 + usize::from(back % 8));
                        self.acks.get(index).copied().unwrap_or(1)
                    }
                };
                self.control_at(at, Control::AckAck { number });
            }
            Step::DropRequest { msgno, ref first, span } => {
                let first = self.seq(first, self.next);
                let last = first + u32::from(span);
                self.control(Control::DropRequest(DropRequest { msgno: MsgNumber::new(msgno), first, last }));
            }
            Step::Keepalive(ref at) => self.control_at(at, Control::Keepalive),
            Step::CongestionWarning => self.control(Control::CongestionWarning),
            Step::PeerError(code) => self.control(Control::PeerError(code)),
            Step::Shutdown => self.control(Control::Shutdown),
            Step::Wait(tenths) => self.now = self.now + Micros::from_micros(u64::from(tenths) * 100),
            Step::WaitLong(secs) => self.now = self.now + Micros::from_secs(u64::from(secs)),
            Step::WaitForTimer => {
                if let Some(deadline) = self.connection.next_timeout() {
                    self.now = self.now.max(deadline.at);
                }
            }
            Step::WaitForDelivery => {
                if let Some(at) = self.connection.next_delivery() {
                    self.now = self.now.max(at);
                    self.receive();
                }
            }
            Step::Timeout => self.connection.handle_timeout(self.now),
            Step::Transmit => self.settle(),
            Step::TransmitOne(segments) => {
                self.batch = TransmitBatch::new(usize::from(segments % 64));
                self.transmit_one();
            }
            Step::Events => self.events(),
            Step::Send { len, ttl_ms, source_time } => self.send(len, ttl_ms, source_time),
            Step::Recv => self.receive(),
            Step::SetOption { option, value } => self.set_option(option, value),
            Step::Stats { clear, instantaneous: false } => drop(self.connection.stats(self.now, clear)),
            Step::Stats { clear, .. } => drop(self.connection.stats_instantaneous(self.now, clear)),
            Step::Close => self.connection.close(self.now),
            Step::Abort => self.connection.abort(self.now),
            Step::KeyRequest(ref request) => {
                let Some(caller) = &mut self.caller else { return };
                let (content, certain) = caller.next_request(request);
                self.raw |= !certain && !self.authentic();
                self.control(Control::UserDefined { subtype: KMREQ, info: 0, content: &content });
            }
            Step::KeyAnswer(ref answer) => {
                let Some(caller) = &self.caller else { return };
                let content = caller.answer(answer);
                self.control(Control::UserDefined { subtype: KMRSP, info: 0, content: &content });
            }
            Step::OtherKey => {
                if let Some(caller) = &mut self.caller {
                    caller.change();
                }
            }
            Step::Flipped { ref seq, len, bit } => {
                let header = DataHeader {
                    seq: self.seq(seq, self.next),
                    boundary: Boundary::Solo,
                    in_order: false,
                    key: KeyFlag::None,
                    retransmitted: false,
                    msgno: self.msgno,
                    timestamp: self.stamp(&Stamp::Right),
                    destination: OUR_ID,
                };
                let (header, payload) = self.sealed(header, len);
                let mut datagram = wire::written(&Packet::Data(DataPacket { header, payload: &payload }));
                let bit = 64 + usize::from(bit) % (datagram.len() * 8 - 64);
                datagram[bit / 8] ^= 1 << (bit % 8);
                self.raw |= !self.authentic();
                self.connection.handle_datagram(self.now, &datagram);
            }
        }
    }

    // ---- what the peer does ------------------------------------------------------------------------------------

    fn peer_clock(&self) -> u32 {
        let elapsed = Timestamp::from_elapsed(self.now.saturating_since(self.start));
        self.peer_time.wrapping_add(elapsed.value())
    }

    fn stamp(&self, stamp: &Stamp) -> Timestamp {
        Timestamp::new(match *stamp {
            Stamp::Right => self.peer_clock(),
            Stamp::Off(tenths) => self.peer_clock().wrapping_add_signed(i32::from(tenths) * 100),
            Stamp::Any(timestamp) => timestamp,
        })
    }

    fn seq(&self, near: &Near, next: SeqNumber) -> SeqNumber {
        let offset = |from: SeqNumber, by: i32| SeqNumber::new(from.value().wrapping_add_signed(by));
        match *near {
            Near::Next(by) => offset(next, i32::from(by)),
            Near::First(by) => offset(self.isn, i32::from(by)),
            Near::Any(number) => SeqNumber::new(number),
        }
    }

    fn sent_seq(&self, near: &Near) -> SeqNumber {
        let next = self.connection.next_numbers().map_or(self.isn, |(next, _)| next);
        self.seq(near, next)
    }

    fn control(&mut self, control: Control<'_>) {
        self.control_at(&Stamp::Right, control);
    }

    fn control_at(&mut self, at: &Stamp, control: Control<'_>) {
        let datagram = wire::control(self.stamp(at).value(), OUR_ID, control);
        self.connection.handle_datagram(self.now, &datagram);
    }

    /// A data packet whose every byte is the low byte of its number, encrypted where that was agreed on.
    fn data(&mut self, header: DataHeader, len: u16) {
        let (header, payload) = self.sealed(header, len);
        self.packet(header, &payload);
    }

    /// A data packet that is not encrypted, whatever was agreed on and whatever the header says. Where that is wrong, so are its
    /// bytes.
    fn plain_data(&mut self, header: DataHeader, len: u16) {
        let mut payload = payload(header.seq, len);
        if self.secured || header.key != KeyFlag::None {
            payload.fill(!low_byte(header.seq));
        }
        self.raw |= self.secured && header.key != KeyFlag::None && !self.authentic();
        self.packet(header, &payload);
    }

    fn sealed(&self, header: DataHeader, len: u16) -> (DataHeader, Vec<u8>) {
        let plain = payload(header.seq, len);
        match &self.caller {
            Some(caller) if self.secured => caller.seal(header, &plain),
            _ => (header, plain),
        }
    }

    /// Nothing is delivered that the peer has not sealed.
    fn authentic(&self) -> bool {
        self.secured && self.caller.as_ref().is_some_and(|caller| caller.mode() == CipherMode::Gcm)
    }

    fn packet(&mut self, header: DataHeader, payload: &[u8]) {
        let datagram = wire::written(&Packet::Data(DataPacket { header, payload }));
        self.connection.handle_datagram(self.now, &datagram);
        if !header.seq.is_before(self.next) {
            self.next = header.seq.next();
        }
        if header.boundary.is_last() {
            self.msgno = self.msgno.next();
        }
    }

    // ---- what its owner does -----------------------------------------------------------------------------------

    fn send(&mut self, len: u16, ttl_ms: Option<u16>, source_time: Option<i32>) {
        let (next, _) = self.connection.next_numbers().unwrap_or((self.isn, MsgNumber::FIRST));
        let data = vec![low_byte(next); usize::from(len) % 1500];
        let mut message = Message::new(&data);
        if let Some(ttl) = ttl_ms {
            message = message.with_ttl(Micros::from_millis(u64::from(ttl)));
        }
        if let Some(offset) = source_time {
            message = message.at(self.now.offset(i64::from(offset)));
        }
        let space = self.connection.send_space();
        match self.connection.send(self.now, message) {
            Ok(sent) => {
                assert!(space > 0, "taken without room");
                assert_eq!(sent.seq, next);
                assert_eq!(self.connection.next_numbers().map(|(seq, _)| seq), Some(next.next()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn receive(&mut self) {
        let mut message = b"before".to_vec();
        let received = match self.connection.recv(self.now, &mut message) {
            Ok(received) => received,
            Err(error) => {
                assert_eq!(message, b"before", "an error, and bytes");
                if matches!(error, RecvError::Closed(_)) {
                    assert_eq!(self.connection.state(), State::Closed);
                }
                return;
            }
        };
        assert_eq!(message.len(), 6 + received.len);
        assert!(received.play_time <= self.now, "handed out before its time");
        self.events();
        if let Some(played) = self.played {
            assert!(received.seq.is_after(played), "{} after {played}", received.seq);
        }
        self.played = Some(received.seq);
        if self.authentic() || !self.raw {
            assert_eq!(message.get(6), Some(&low_byte(received.seq)), "another packet's bytes");
        }
    }

    fn events(&mut self) {
        let mut events = 0;
        while let Some(event) = self.connection.poll_event() {
            // Two jumps to far ahead go more than half round the circle: each is seen by itself.
            if let Event::Skipped(skipped) = event {
                self.played = Some(skipped.last);
            }
            events += 1;
            assert!(events <= 1_000, "events without bound");
        }
    }

    fn set_option(&mut self, option: u8, value: i64) {
        let info = SocketOption::all().nth(usize::from(option) % SocketOption::all().len()).expect("within");
        for value in [OptionValue::I64(value), OptionValue::Bool(value & 1 == 0)] {
            let _ = self.connection.set_option(self.now, info.option, value);
        }
    }

    fn transmit(&mut self) {
        self.batch = TransmitBatch::default();
        let mut batches = 0;
        while self.transmit_one() {
            batches += 1;
            assert!(batches < BATCHES_MAX, "it never stops sending");
        }
    }

    fn transmit_one(&mut self) -> bool {
        let Some(transmit) = self.connection.poll_transmit(self.now, &mut self.batch) else { return false };
        let encrypted =
            self.connection.negotiated().is_some_and(|negotiated| negotiated.encryption.is_some());
        let mut answers = Vec::new();
        let bytes = self.batch.bytes();
        assert_eq!(transmit.to, self.connection.peer());
        assert!(transmit.len == bytes.len() && transmit.len > 0 && transmit.segment_size > 0);
        assert_eq!(bytes.len().div_ceil(transmit.segment_size), self.batch.segments());
        for datagram in bytes.chunks(transmit.segment_size) {
            let packet = Packet::parse(datagram).expect("what we send can be read");
            // Key material is as long as it is, however small the MSS.
            let most = match packet {
                Packet::Control(ControlPacket { control: Control::UserDefined { .. }, .. }) => {
                    self.datagram_max.max(HEADER_SIZE + KEY_MATERIAL_MAX)
                }
                _ => self.datagram_max,
            };
            assert!(datagram.len() <= most, "{} bytes are more than the MSS", datagram.len());
            match packet {
                Packet::Data(DataPacket { header, payload }) => {
                    assert_eq!(header.destination, PEER_ID);
                    assert_eq!(header.key != KeyFlag::None, encrypted);
                    let payload = match &self.caller {
                        Some(caller) if self.secured => caller.open(&header, payload),
                        _ if encrypted => vec![low_byte(header.seq)], // nobody can read it
                        _ => payload.to_vec(),
                    };
                    assert!(
                        payload.iter().all(|byte| *byte == low_byte(header.seq)),
                        "another packet's bytes"
                    );
                    assert!(!payload.is_empty());
                    let first_time = self.sent.insert(header.seq.value());
                    assert_eq!(header.retransmitted, !first_time, "R flag of {}", header.seq);
                }
                Packet::Control(ControlPacket { destination, control, .. }) => {
                    assert_eq!(destination, PEER_ID);
                    if let Control::Ack(Ack { number: number @ 1.., .. }) = control {
                        self.acks.push_back(number);
                        if self.acks.len() > 8 {
                            self.acks.pop_front();
                        }
                    }
                    if let Control::UserDefined { subtype, content, .. } = control {
                        let caller = self.caller.as_mut().filter(|_| self.secured);
                        let caller = caller.expect("keys are a matter of those who agreed on some");
                        match subtype {
                            KMREQ => {
                                caller.on_request(content);
                                answers.extend((!self.silent).then(|| caller.answer(&Answer::Echo)));
                            }
                            KMRSP => caller.on_answer(content),
                            other => panic!("a message of kind {other}"),
                        }
                    }
                }
            }
        }
        for content in answers {
            self.control(Control::UserDefined { subtype: KMRSP, info: 0, content: &content });
        }
        true
    }

    // ---- promises ----------------------------------------------------------------------------------------------

    fn check_memory(&self) {
        let memory = self.connection.memory();
        assert!(memory <= self.memory_max, "{memory} bytes held, where {} are the bound", self.memory_max);
        if let Some(link) = self.connection.link().filter(|_| self.secured) {
            assert_eq!(keys_of(link), SECURED, "something from the network made the link weaker");
        }
    }

    /// What is due is done in a few rounds, and then the next deadline lies ahead: else its owner would never sleep.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.connection.handle_timeout(self.now);
            self.transmit();
            if self.connection.next_timeout().is_none_or(|deadline| deadline.at > self.now) {
                return;
            }
        }
        panic!("{:?} stays due at {:?}", self.connection.next_timeout(), self.now);
    }

    /// The owner closes, the peer says no more: it ends, and nothing is held.
    fn end(&mut self) {
        self.connection.close(self.now);
        for _ in 0..4_000 {
            self.settle();
            self.check_memory();
            if self.connection.state() == State::Closed {
                break;
            }
            let step = self.now + Micros::from_millis(10);
            self.now = self.connection.next_timeout().map_or(step, |deadline| step.max(deadline.at));
        }
        assert_eq!(self.connection.state(), State::Closed, "it does not come to its end");
        assert_eq!(self.connection.memory(), 0);
        assert_eq!(self.connection.next_timeout(), None);
        self.receive();
        self.events();
        let _ = self.connection.stats(self.now, true);
    }
}

impl Agreement {
    fn config(&self) -> Config {
        let mut config = Config::live();
        let packets = |count: u8| i32::from(count) * 4 * 1472;
        let number = |wanted: Option<u32>| wanted.map_or(-1, i64::from);
        for (option, value) in [
            (SocketOption::RcvLatency, OptionValue::from(i32::from(self.latency_ms))),
            (SocketOption::TsbpdMode, OptionValue::from(!self.no_tsbpd)),
            (SocketOption::TlPktDrop, OptionValue::from(!self.no_tlpktdrop)),
            (SocketOption::NakReport, OptionValue::from(!self.no_nak_report)),
            (SocketOption::DriftTracer, OptionValue::from(!self.no_drift_tracer)),
            (SocketOption::LossMaxTtl, OptionValue::from(i32::from(self.loss_max_ttl))),
            (SocketOption::Linger, OptionValue::from(i32::from(self.linger_s))),
            (SocketOption::SndBuf, OptionValue::from(packets(self.send_packets).max(1))),
            (SocketOption::RcvBuf, OptionValue::from(packets(self.receive_packets).max(1))),
            (SocketOption::MaxBw, OptionValue::from(number(self.max_bw))),
            (SocketOption::MaxRexmitBw, OptionValue::from(number(self.max_rexmit_bw))),
            (SocketOption::SndDropDelay, OptionValue::from(i32::from(self.snd_drop_delay_ms) - 1)),
            (SocketOption::RetransmitAlgo, OptionValue::from(i32::from(!self.retransmit_all))),
        ] {
            config.set(option, value).expect("all of these are in range");
        }
        if let Some(encryption) = &self.encryption {
            encryption.configure(&mut config);
        }
        config
    }
}

impl Encryption {
    fn configure(&self, config: &mut Config) {
        let refresh_rate = i32::from(self.refresh_rate) + 3;
        let pre_announce = 1 + i32::from(self.pre_announce) % ((refresh_rate - 1) / 2);
        let modes = if config.tsbpd() { 3 } else { 2 }; // AES-GCM needs TSBPD
        for (option, value) in [
            (SocketOption::Passphrase, OptionValue::from(if self.no_passphrase { "" } else { PASSPHRASE })),
            (SocketOption::EnforcedEncryption, OptionValue::from(!self.relaxed)),
            (SocketOption::CryptoMode, OptionValue::from(i32::from(self.crypto_mode % modes))),
            (SocketOption::KmRefreshRate, OptionValue::from(refresh_rate)),
            (SocketOption::KmPreAnnounce, OptionValue::from(pre_announce)),
        ] {
            config.set(option, value).expect("all of these are in range");
        }
    }
}

/// What a buffer of so many packets may hold: its payloads, a note for each, and a few spare chunks.
fn memory_max(packets: u32) -> usize {
    (packets as usize + 128) * (1500 + 128)
}

/// Every byte is the low byte of the number.
fn payload(seq: SeqNumber, len: u16) -> Vec<u8> {
    vec![low_byte(seq); 1 + usize::from(len) % 1500]
}

fn low_byte(seq: SeqNumber) -> u8 {
    seq.value().to_be_bytes()[3]
}

/// How the exchange of keys stands in both directions.
fn keys_of(
    link: &srt_protocol::link::Link,
) -> (srt_protocol::packet::KmState, srt_protocol::packet::KmState) {
    let report = link.keys().report();
    (report.send_state, report.receive_state)
}
