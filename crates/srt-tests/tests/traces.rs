//! What a libsrt caller said under encryption, replayed into our listener.
//!
//! The libsrt that distributions ship has no AES-GCM, so that no peer installed here can prove ours. `traces/` holds what a
//! libsrt 1.5.5 that has it put on the wire; each file says how it came about. Our connection takes the place of the listener
//! in the trace, with its socket ID, which AES-GCM authenticates; the cookie alone is written anew.
#![expect(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

use srt_crypto::{CipherMode, Kek, KeyLength, Passphrase, PayloadKey};
use srt_protocol::config::{Config, SocketOption};
use srt_protocol::connection::{Connection, ConnectionError, Event, RecvError, TransmitBatch};
use srt_protocol::endpoint::{AcceptError, Endpoint, EndpointStats, Route};
use srt_protocol::entropy::{Entropy, NoEntropy};
use srt_protocol::handshake::RejectReason;
use srt_protocol::link::{KeyCounters, LinkCounters};
use srt_protocol::packet::{
    CarriedKeys, Control, ControlPacket, DataHeader, DataPacket, Extension, Handshake, HandshakeKind, KMREQ,
    KMRSP, KeyFlag, KeyMaterial, KmState, Packet, Parity,
};
use srt_protocol::time::{Instant, Micros};
use srt_protocol::types::SeqNumber;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// A trace, and what is known of it.
struct Case {
    name: &'static str,
    text: &'static str,
    cipher: (CipherMode, KeyLength),
    /// Messages the caller sent, each in a packet of its own.
    messages: u32,
    /// How often it went over to the next key.
    changes: usize,
    /// Keys it announced after the handshake.
    announced: usize,
    /// Packets it sent again.
    resent: u64,
}

const CTR_ROTATION: Case = Case {
    name: "aes128-ctr-rotation",
    text: include_str!("traces/aes128-ctr-rotation.trace"),
    cipher: (CipherMode::Ctr, KeyLength::Aes128),
    messages: 120,
    changes: 2,
    announced: 3,
    resent: 0,
};
const GCM_ROTATION: Case = Case {
    name: "aes256-gcm-rotation",
    text: include_str!("traces/aes256-gcm-rotation.trace"),
    cipher: (CipherMode::Gcm, KeyLength::Aes256),
    messages: 120,
    changes: 2,
    announced: 3,
    resent: 0,
};
const GCM_LOSS: Case = Case {
    name: "aes128-gcm-loss",
    text: include_str!("traces/aes128-gcm-loss.trace"),
    cipher: (CipherMode::Gcm, KeyLength::Aes128),
    messages: 100,
    changes: 2,
    announced: 2,
    resent: 7,
};
const ALL: [Case; 3] = [CTR_ROTATION, GCM_ROTATION, GCM_LOSS];

// ---- what libsrt sent ------------------------------------------------------------------------------------------------

#[test]
fn a_trace_is_delivered_whole_and_in_order() {
    for case in ALL {
        let trace = case.trace();
        let replay = Replay::run(&trace, &trace.passphrase, |_| Spoilt::No).expect("accepted");
        assert_eq!(replay.received, trace.messages(), "{}", case.name);
        assert_eq!(replay.skipped, 0, "{}", case.name);
        let link = replay.link;
        assert_eq!((link.undecryptable_packets, link.ignored), (0, 0), "{}", case.name);
        assert_eq!(link.received_retransmitted_packets, case.resent, "{}", case.name);
        assert_eq!(replay.ended, Some(ConnectionError::PeerShutdown), "{}", case.name);
        assert_eq!(replay.acknowledged, Some(trace.isn() + case.messages), "{}", case.name);
    }
}

#[test]
fn the_cipher_is_the_one_the_caller_chose() {
    for case in ALL {
        let trace = case.trace();
        let replay = Replay::run(&trace, &trace.passphrase, |_| Spoilt::No).expect("accepted");
        assert_eq!(replay.encryption, Some(case.cipher), "{}", case.name);
        assert_eq!(replay.states, (KmState::Secured, KmState::Secured), "{}", case.name);
    }
}

#[test]
fn every_kmreq_is_echoed_to_the_byte_as_libsrt_echoed_it() {
    for case in ALL {
        let trace = case.trace();
        let replay = Replay::run(&trace, &trace.passphrase, |_| Spoilt::No).expect("accepted");
        let (first, later) = replay.answers.split_first().expect("the handshake's is answered");
        assert_eq!(*first, trace.handshake_key_material(), "{}", case.name);
        assert_eq!(later, trace.key_messages(Way::ToListener, KMREQ), "{}", case.name);
        assert_eq!(later, trace.key_messages(Way::ToCaller, KMRSP), "{}: unlike libsrt", case.name);
        let KeyCounters { requests_received, requests_refused, stray_answers, .. } = replay.keys;
        let told = (requests_received, requests_refused, stray_answers);
        assert_eq!(told, (later.len() as u64, 0, 0), "{}", case.name);
    }
}

#[test]
fn the_keys_were_renewed_on_the_way() {
    for case in ALL {
        let trace = case.trace();
        let flags = trace.flags();
        let changes = flags.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!((flags.first(), changes), (Some(&KeyFlag::Even), case.changes), "{}", case.name);
        assert!(flags.iter().all(|flag| matches!(flag, KeyFlag::Even | KeyFlag::Odd)), "{}", case.name);
        assert!(flags.contains(&KeyFlag::Odd), "{}", case.name);
        // A KMREQ is repeated where its answer takes longer than expected.
        let mut announced = trace.key_messages(Way::ToListener, KMREQ);
        announced.dedup();
        assert_eq!(announced.len(), case.announced, "{}", case.name);
        assert!(announced.iter().all(|content| keys_of(content) == CarriedKeys::Both), "{}", case.name);
        assert_eq!(keys_of(&trace.handshake_key_material()), CarriedKeys::One(Parity::Even), "{}", case.name);
    }
}

#[test]
fn what_is_reported_lost_is_what_libsrt_reported() {
    let trace = GCM_LOSS.trace();
    let replay = Replay::run(&trace, &trace.passphrase, |_| Spoilt::No).expect("accepted");
    let resent = trace.data().filter(|packet| packet.header.retransmitted).map(|packet| packet.header.seq);
    assert_eq!(replay.reported, trace.reported());
    assert_eq!(replay.reported, resent.map(SeqNumber::value).collect());
    assert_eq!(replay.link.missing_packets, GCM_LOSS.resent);
}

#[test]
fn key_material_of_libsrt_is_read_unwrapped_and_written_again() {
    for case in ALL {
        let trace = case.trace();
        let passphrase = Passphrase::new(trace.passphrase.as_bytes()).unwrap();
        let mut salts = BTreeSet::new();
        let mut requests = trace.key_messages(Way::ToListener, KMREQ);
        requests.push(trace.handshake_key_material());
        for content in requests {
            let material = KeyMaterial::parse(&content).unwrap();
            assert_eq!(material.to_bytes(), content, "{}", case.name);
            assert_eq!((material.mode, material.key_length), case.cipher, "{}", case.name);
            salts.insert(material.salt);
            let unwrapped = unwrap(&passphrase, &material).unwrap();
            assert_eq!(unwrapped.iter().flatten().count(), content_keys(&material), "{}", case.name);
            let other = Passphrase::new(b"another passphrase").unwrap();
            assert!(unwrap(&other, &material).is_none(), "{}", case.name);
        }
        assert_eq!(salts.len(), 1, "{}: libsrt keeps its salt for good", case.name);
    }
}

/// The same without a connection: the packets open with nothing but the bytes before them in the trace.
#[test]
fn payloads_of_libsrt_open_with_the_keys_announced_before() {
    for case in ALL {
        let trace = case.trace();
        let passphrase = Passphrase::new(trace.passphrase.as_bytes()).unwrap();
        let mut keys = [None, None];
        let learn = |keys: &mut [Option<PayloadKey>; 2], content: &[u8]| {
            let material = KeyMaterial::parse(content).unwrap();
            for (key, news) in keys.iter_mut().zip(unwrap(&passphrase, &material).unwrap()) {
                *key = news.or_else(|| key.take());
            }
        };
        learn(&mut keys, &trace.handshake_key_material());
        let mut seen = BTreeSet::new();
        for datagram in trace.of(Way::ToListener) {
            match Packet::parse(&datagram.bytes).unwrap() {
                Packet::Control(ControlPacket {
                    control: Control::UserDefined { subtype: KMREQ, content, .. },
                    ..
                }) => learn(&mut keys, content),
                Packet::Control(_) => {}
                Packet::Data(DataPacket { header, payload }) => {
                    let parity = Parity::of(header.key).expect("encrypted");
                    let key = keys[parity as usize].as_ref().expect("announced");
                    let associated = DataHeader { retransmitted: false, ..header }.to_bytes();
                    let mut payload = payload.to_vec();
                    let len = key.open(header.seq.value(), &associated, &mut payload).unwrap();
                    let number = header.seq.distance_from(trace.isn());
                    assert_eq!(payload[..len], message(number.unsigned_abs()), "{}: {number}", case.name);
                    seen.insert(number);
                }
            }
        }
        assert_eq!(seen, (0..case.messages.cast_signed()).collect(), "{}", case.name);
    }
}

// ---- what it did not send --------------------------------------------------------------------------------------------

#[test]
fn with_another_passphrase_the_caller_is_rejected() {
    for case in ALL {
        let trace = case.trace();
        let rejected = Replay::run(&trace, "another passphrase", |_| Spoilt::No).err();
        assert_eq!(rejected, Some(RejectReason::BadSecret), "{}", case.name);
    }
}

#[test]
fn without_the_announcements_nothing_under_the_new_keys_is_delivered() {
    for case in [GCM_ROTATION, GCM_LOSS] {
        let trace = case.trace();
        let replay = Replay::run(&trace, &trace.passphrase, |datagram| {
            if key_message(datagram, KMREQ).is_some() { Spoilt::Lost } else { Spoilt::No }
        })
        .expect("accepted");
        let flags = trace.flags();
        let old = flags.iter().take_while(|flag| **flag == KeyFlag::Even).count();
        assert_eq!(replay.received, trace.messages()[..old], "{}", case.name);
        let first_new = trace.isn() + u32::try_from(old).unwrap();
        let new = trace.data().filter(|packet| !packet.header.seq.is_before(first_new));
        assert_eq!(replay.link.undecryptable_packets, new.count() as u64, "{}", case.name);
    }
}

#[test]
fn a_packet_with_a_flipped_bit_is_not_delivered_and_the_true_one_after_it_is() {
    for case in [GCM_ROTATION, GCM_LOSS] {
        let trace = case.trace();
        // Another bit of each packet, several times over: in the message's word, the timestamp, the payload or the tag.
        for round in 0..8 {
            let mut packets = 0;
            let replay = Replay::run(&trace, &trace.passphrase, |datagram| {
                if !is_data(datagram) {
                    return Spoilt::No;
                }
                packets += 1;
                let bits = [32..R_FLAG, R_FLAG + 1..DESTINATION.start, DESTINATION.end..datagram.len() * 8];
                let bits: Vec<usize> = bits.into_iter().flatten().collect();
                Spoilt::Before(bits[(packets * 97 + round * 41) % bits.len()])
            })
            .expect("accepted");
            assert_eq!(replay.received, trace.messages(), "{}", case.name);
            assert_eq!(replay.skipped, 0, "{}", case.name);
            assert_eq!(replay.link.undecryptable_packets, packets as u64, "{}", case.name);
        }
    }
}

#[test]
fn a_packet_that_never_comes_but_with_a_flipped_bit_is_missing() {
    for case in [GCM_ROTATION, GCM_LOSS] {
        let trace = case.trace();
        let spoilt = trace.isn() + 50;
        for bit in [32, 64, 95, 128, 300] {
            let replay = Replay::run(&trace, &trace.passphrase, |datagram| match Packet::parse(datagram) {
                Ok(Packet::Data(data)) if data.header.seq == spoilt => Spoilt::Instead(bit),
                _ => Spoilt::No,
            })
            .expect("accepted");
            let mut expected = trace.messages();
            expected.remove(50);
            assert_eq!(replay.received, expected, "{}, bit {bit}", case.name);
            assert_eq!(
                (replay.link.undecryptable_packets, replay.skipped),
                (1, 1),
                "{}, bit {bit}",
                case.name
            );
            assert!(replay.reported.contains(&spoilt.value()), "{}, bit {bit}", case.name);
        }
    }
}

#[test]
fn a_packet_with_another_number_or_destination_does_no_harm() {
    for case in [GCM_ROTATION, GCM_LOSS] {
        let trace = case.trace();
        for bit in (2..32).chain(DESTINATION) {
            let mut packets = 0;
            let replay = Replay::run(&trace, &trace.passphrase, |datagram| {
                packets += u64::from(is_data(datagram));
                if is_data(datagram) { Spoilt::Before(bit) } else { Spoilt::No }
            })
            .expect("accepted");
            assert_eq!(replay.received, trace.messages(), "{}, bit {bit}", case.name);
            if DESTINATION.contains(&bit) {
                assert_eq!(replay.endpoint.unknown_destination, packets, "{}, bit {bit}", case.name);
                assert_eq!(replay.link.undecryptable_packets, 0, "{}, bit {bit}", case.name);
            }
        }
    }
}

/// Behind all that was played, as seen from the one buffer, and ahead of all that came, as seen from the one behind it.
#[test]
fn a_packet_from_the_other_side_of_the_circle_does_no_harm() {
    let trace = GCM_LOSS.trace();
    let replay = Replay::run(&trace, &trace.passphrase, |datagram| {
        if is_data(datagram) { Spoilt::Before(1) } else { Spoilt::No }
    })
    .expect("accepted");
    assert_eq!(replay.received, trace.messages());
    assert_eq!(replay.link.missing_packets, GCM_LOSS.resent);
}

#[test]
fn the_r_flag_is_not_authenticated() {
    for case in [GCM_ROTATION, GCM_LOSS] {
        let trace = case.trace();
        let replay = Replay::run(&trace, &trace.passphrase, |datagram| {
            if is_data(datagram) { Spoilt::Instead(R_FLAG) } else { Spoilt::No }
        })
        .expect("accepted");
        assert_eq!(replay.received, trace.messages(), "{}", case.name);
        assert_eq!(replay.link.undecryptable_packets, 0, "{}", case.name);
    }
}

/// Where the R flag stands, in bits from the front of the datagram.
const R_FLAG: usize = 37;
/// Where the destination stands.
const DESTINATION: std::ops::Range<usize> = 96..128;

// ---- traces ----------------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToListener,
    ToCaller,
}

struct Datagram {
    at: Micros,
    way: Way,
    bytes: Vec<u8>,
}

struct Trace {
    passphrase: String,
    messages: u32,
    datagrams: Vec<Datagram>,
}

impl Case {
    fn trace(&self) -> Trace {
        let mut passphrase = None;
        let mut datagrams = Vec::new();
        for line in self.text.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                passphrase = passphrase.or_else(|| comment.trim().strip_prefix("passphrase: "));
                continue;
            }
            let mut fields = line.split(' ');
            let mut field = || fields.next().unwrap_or_else(|| panic!("{}: {line}", self.name));
            let at = Micros::from_micros(field().parse().expect("microseconds"));
            let way = match field() {
                ">" => Way::ToListener,
                "<" => Way::ToCaller,
                other => panic!("{}: {other}", self.name),
            };
            datagrams.push(Datagram { at, way, bytes: bytes(field()) });
        }
        let passphrase = passphrase.expect("a trace says its passphrase").to_owned();
        Trace { passphrase, messages: self.messages, datagrams }
    }
}

impl Trace {
    fn of(&self, way: Way) -> impl Iterator<Item = &Datagram> {
        self.datagrams.iter().filter(move |datagram| datagram.way == way)
    }

    /// The handshakes of one side: induction and conclusion.
    fn handshakes(&self, way: Way) -> Vec<Handshake<'_>> {
        self.of(way).filter_map(|datagram| handshake(&datagram.bytes)).collect()
    }

    fn isn(&self) -> SeqNumber {
        self.handshakes(Way::ToListener)[0].isn
    }

    /// The KMREQ of the caller's conclusion.
    fn handshake_key_material(&self) -> Vec<u8> {
        let conclusion = self.handshakes(Way::ToListener)[1];
        let request = |block| match block {
            Ok(Extension::KeyMaterialRequest(content)) => Some(content.to_vec()),
            _ => None,
        };
        conclusion.extensions.iter().find_map(request).expect("the caller has a passphrase")
    }

    /// What the messages about keys after the handshake say.
    fn key_messages(&self, way: Way, subtype: u16) -> Vec<Vec<u8>> {
        self.of(way).filter_map(|datagram| key_message(&datagram.bytes, subtype)).collect()
    }

    fn data(&self) -> impl Iterator<Item = DataPacket<'_>> {
        self.of(Way::ToListener).filter_map(|datagram| DataPacket::parse(&datagram.bytes).ok())
    }

    /// The key of each packet, in the order of their numbers.
    fn flags(&self) -> Vec<KeyFlag> {
        let mut flags: Vec<_> = self.data().map(|packet| (packet.header.seq, packet.header.key)).collect();
        flags.sort_by_key(|(seq, _)| seq.distance_from(self.isn()));
        flags.into_iter().map(|(_, flag)| flag).collect()
    }

    /// Numbers that the captured listener reported lost.
    fn reported(&self) -> BTreeSet<u32> {
        self.of(Way::ToCaller).flat_map(|datagram| reported(&datagram.bytes)).collect()
    }

    /// What the caller was given to send.
    fn messages(&self) -> Vec<Vec<u8>> {
        (0..self.messages).map(message).collect()
    }
}

/// Message `number` of a trace, as its header describes it.
fn message(number: u32) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend((4..40 + number * 7 % 59).map(|at| (number + 3 * at).to_le_bytes()[0]));
    message
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn is_data(datagram: &[u8]) -> bool {
    DataPacket::parse(datagram).is_ok()
}

fn control(datagram: &[u8]) -> Option<Control<'_>> {
    ControlPacket::parse(datagram).ok().map(|packet| packet.control)
}

fn handshake(datagram: &[u8]) -> Option<Handshake<'_>> {
    match control(datagram)? {
        Control::Handshake(handshake) => Some(handshake),
        _ => None,
    }
}

fn key_message(datagram: &[u8], wanted: u16) -> Option<Vec<u8>> {
    match control(datagram)? {
        Control::UserDefined { subtype, content, .. } if subtype == wanted => Some(content.to_vec()),
        _ => None,
    }
}

fn reported(datagram: &[u8]) -> Vec<u32> {
    let Some(Control::Nak(report)) = control(datagram) else { return Vec::new() };
    let numbers = |(first, last): (SeqNumber, SeqNumber)| {
        assert!(last.distance_from(first) < 1_000, "a report of {first} to {last}");
        (0..=last.distance_from(first).unsigned_abs()).map(move |offset| (first + offset).value())
    };
    report.iter().flat_map(numbers).collect()
}

fn keys_of(content: &[u8]) -> CarriedKeys {
    KeyMaterial::parse(content).expect("key material").keys
}

fn content_keys(material: &KeyMaterial<'_>) -> usize {
    if material.keys == CarriedKeys::Both { 2 } else { 1 }
}

/// The keys of a KMREQ, by parity.
fn unwrap(passphrase: &Passphrase, material: &KeyMaterial<'_>) -> Option<[Option<PayloadKey>; 2]> {
    let kek = Kek::derive(passphrase, &material.salt, material.key_length);
    let key = |sek| PayloadKey::new(material.mode, &sek, &material.salt).ok();
    Some(match material.keys {
        CarriedKeys::One(Parity::Even) => [key(kek.unwrap(material.wrapped).ok()?), None],
        CarriedKeys::One(Parity::Odd) => [None, key(kek.unwrap(material.wrapped).ok()?)],
        CarriedKeys::Both => {
            let (even, odd) = kek.unwrap_both(material.wrapped).ok()?;
            [key(even), key(odd)]
        }
    })
}

// ---- the replay ------------------------------------------------------------------------------------------------------

/// What becomes of a datagram on its way to us.
enum Spoilt {
    No,
    Lost,
    /// A copy with this bit flipped comes before it.
    Before(usize),
    /// It comes with this bit flipped.
    Instead(usize),
}

/// What came of a trace.
#[derive(Default)]
struct Replay {
    received: Vec<Vec<u8>>,
    /// Packets that were given up.
    skipped: u32,
    /// Numbers reported lost.
    reported: BTreeSet<u32>,
    /// The next number of the last ACK.
    acknowledged: Option<SeqNumber>,
    /// The KMRSPs, that of the handshake first.
    answers: Vec<Vec<u8>>,
    ended: Option<ConnectionError>,
    encryption: Option<(CipherMode, KeyLength)>,
    states: (KmState, KmState),
    link: LinkCounters,
    keys: KeyCounters,
    endpoint: EndpointStats,
}

impl Replay {
    /// Plays what the caller sent to a listener with `passphrase`; `meddle` decides what becomes of each datagram after the
    /// handshake. The error is what the caller was rejected for.
    fn run(
        trace: &Trace,
        passphrase: &str,
        mut meddle: impl FnMut(&[u8]) -> Spoilt,
    ) -> Result<Self, RejectReason> {
        let mut replay = Self::default();
        let (mut connection, mut endpoint) = replay.accept(trace, passphrase)?;
        let mut now = Instant::default();
        for datagram in trace.of(Way::ToListener).skip(2) {
            let at = START + datagram.at;
            replay.pass_time(&mut connection, now, at);
            now = at;
            let spoilt = |bit: usize| {
                let mut bytes = datagram.bytes.clone();
                bytes[bit / 8] ^= 0x80 >> (bit % 8);
                bytes
            };
            let come = match meddle(&datagram.bytes) {
                Spoilt::No => vec![datagram.bytes.clone()],
                Spoilt::Lost => Vec::new(),
                Spoilt::Before(bit) => vec![spoilt(bit), datagram.bytes.clone()],
                Spoilt::Instead(bit) => vec![spoilt(bit)],
            };
            for bytes in come {
                if let Route::Connection(_) = endpoint.handle_datagram(now, caller_address(), None, &bytes) {
                    connection.handle_datagram(now, &bytes);
                    replay.settle(&mut connection, now);
                }
            }
        }
        replay.pass_time(&mut connection, now, now + Micros::from_secs(1));
        replay.endpoint = *endpoint.stats();
        Ok(replay)
    }

    /// Induction and conclusion.
    fn accept(&mut self, trace: &Trace, passphrase: &str) -> Result<(Connection, Endpoint), RejectReason> {
        let mut config = Config::live();
        config.set(SocketOption::Passphrase, passphrase).expect("of a good length");
        let mut endpoint = Endpoint::new([7; 16], Arc::new(Ones));
        endpoint.listen(config.clone(), 1);
        let mut sent = trace.of(Way::ToListener);
        let mut batch = TransmitBatch::default();

        let induction = sent.next().expect("a trace begins with an induction");
        endpoint.handle_datagram(START + induction.at, caller_address(), None, &induction.bytes);
        endpoint.poll_transmit(&mut batch).expect("an induction is answered");
        let cookie = handshake(batch.bytes()).expect("with a handshake").cookie;

        let conclusion = sent.next().expect("and a conclusion after it");
        let mut bytes = conclusion.bytes.clone();
        let read = handshake(&bytes).expect("a conclusion");
        let captured = trace.handshakes(Way::ToCaller);
        assert_eq!((read.kind, read.cookie), (HandshakeKind::Conclusion, captured[0].cookie));
        bytes[COOKIE..COOKIE + 4].copy_from_slice(&cookie.to_be_bytes());
        let now = START + conclusion.at;
        endpoint.handle_datagram(now, caller_address(), None, &bytes);
        let incoming = endpoint.poll_incoming().expect("our cookie");
        assert!(incoming.encrypted);

        let accepted = endpoint.accept(now, &incoming, config, captured[1].socket_id);
        endpoint.poll_transmit(&mut batch).expect("a conclusion is answered");
        let answer = handshake(batch.bytes()).expect("with a handshake");
        let connection = match accepted {
            Ok(connection) => connection,
            Err(AcceptError::Rejected(reason)) => {
                assert_eq!(answer.kind, HandshakeKind::Rejection(reason));
                return Err(reason);
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(answer.socket_id, connection.id());
        for block in answer.extensions.iter() {
            if let Extension::KeyMaterialResponse(content) = block.expect("a block") {
                self.answers.push(content.to_vec());
            }
        }
        self.encryption = connection.negotiated().and_then(|negotiated| negotiated.encryption);
        Ok((connection, endpoint))
    }

    /// Does what is due up to `until`.
    fn pass_time(&mut self, connection: &mut Connection, mut now: Instant, until: Instant) {
        for _ in 0..10_000 {
            let timeout = connection.next_timeout().map(|deadline| deadline.at);
            let Some(next) = timeout.into_iter().chain(connection.next_delivery()).min() else { return };
            now = now.max(next);
            if now > until {
                return;
            }
            connection.handle_timeout(now);
            self.settle(connection, now);
        }
        panic!("time stands still at {now:?}");
    }

    /// Takes what the connection has to give.
    fn settle(&mut self, connection: &mut Connection, now: Instant) {
        let mut batch = TransmitBatch::default();
        while let Some(transmit) = connection.poll_transmit(now, &mut batch) {
            for datagram in batch.bytes().chunks(transmit.segment_size) {
                self.reported.extend(reported(datagram));
                self.answers.extend(key_message(datagram, KMRSP));
                if let Some(Control::Ack(ack)) = control(datagram) {
                    self.acknowledged = Some(ack.next);
                }
            }
        }
        // The end of the connection, which the last message may bring, takes its link away.
        if let Some(link) = connection.link() {
            (self.link, self.keys, self.states) = {
                let report = link.keys().report();
                (*link.counters(), report.counters, (report.send_state, report.receive_state))
            };
        }
        let mut message = Vec::new();
        loop {
            message.clear();
            match connection.recv(now, &mut message) {
                Ok(received) => {
                    assert!(received.play_time <= now, "handed out before its time");
                    self.received.push(message.clone());
                }
                Err(RecvError::Empty | RecvError::Closed(_)) => break,
                Err(other) => panic!("{other}"),
            }
        }
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Skipped(skipped) => self.skipped += skipped.missing,
                Event::Closed(reason) => self.ended = Some(reason),
                _ => {}
            }
        }
    }
}

/// When the first datagram of a trace comes.
const START: Instant = Instant::from_micros(5_000_000);
/// Where the cookie of a handshake stands.
const COOKIE: usize = 16 + 28;

fn caller_address() -> SocketAddr {
    ([192, 0, 2, 1], 5000).into()
}

/// Random numbers for the keys we announce, which nobody in a trace takes notice of.
#[derive(Debug)]
struct Ones;

impl Entropy for Ones {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(1);
        Ok(())
    }
}
