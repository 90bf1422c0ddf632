//! What no honest peer sends: garbage, forgeries, floods.

use srt_protocol::connection::{CallerSetup, Connection, ConnectionError, TransmitBatch};
use srt_protocol::endpoint::{Endpoint, Route};
use srt_protocol::entropy;
use srt_protocol::handshake::RejectReason;
use srt_protocol::packet::{
    Ack, AckDetail, Boundary, Control, ControlPacket, DataHeader, Extensions, Handshake, HandshakeKind,
    KeyFlag, LossReport, MAGIC, Packet, destination,
};
use srt_protocol::time::{Instant, Micros};
use srt_protocol::types::{MsgNumber, SeqNumber, SocketId, Timestamp};
use srt_tests::check;
use srt_tests::sim::{
    Kind, Link, Random, Run, Sim, Source, Way, caller, caller_address, control, kbps, latency_ms, listener,
    listener_address, mbps, ms, secs, seeds, with,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Both ends send for three seconds.
fn world(seed: u64, link: Link) -> Sim {
    Sim::new(
        seed,
        caller(latency_ms(300)).offers(Source::live(mbps(2), secs(3))),
        link,
        listener(latency_ms(300)).offers(Source::live(mbps(1), secs(3))),
    )
    .sparing_handshakes()
}

fn lossy() -> Link {
    Link::rtt_ms(40).loss(0.03).jitter_ms(3)
}

/// The stream runs as if nobody had done anything.
#[track_caller]
fn assert_undisturbed(run: &Run) {
    run.assert(check::all)
        .assert(check::closed_in_order)
        .assert(|run| check::delivered_at_least(run, 270))
        .assert(|run| check::latency_constant(run, ms(1)));
    assert!(run.lost_to_the_viewer() < 0.003, "{}", run.lost_to_the_viewer());
}

/// Whatever became of the stream: no panic, no endless work, no more memory than the options allow.
#[track_caller]
fn assert_survived(run: &Run) {
    run.assert(check::no_faults)
        .assert(check::finished)
        .assert(check::in_order)
        .assert(check::never_early)
        .assert(check::memory_bounded);
}

fn stranger(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, a, b, c), 7_000))
}

fn data(to: SocketId, seq: SeqNumber, payload: &[u8]) -> Vec<u8> {
    let header = DataHeader {
        seq,
        boundary: Boundary::Solo,
        in_order: false,
        key: KeyFlag::None,
        retransmitted: false,
        msgno: MsgNumber::new(seq.value()),
        timestamp: Timestamp::new(1_000_000),
        destination: to,
    };
    let mut datagram = header.to_bytes().to_vec();
    datagram.extend_from_slice(payload);
    datagram
}

/// Noise behind a header that says it is for `to`, of a control type with some meaning more often than not.
fn noise(random: &mut Random, to: SocketId) -> Vec<u8> {
    let mut datagram = vec![0; 16 + random.index(120)];
    random.fill(&mut datagram);
    if random.word() & 3 != 0 {
        let kind = random.bits().to_le_bytes()[0] % 10;
        datagram[..4].copy_from_slice(&[0x80, kind, 0, 0]);
    }
    datagram[12..16].copy_from_slice(&to.value().to_be_bytes());
    datagram
}

#[test]
fn strangers_who_know_the_socket_ids_change_nothing_at_all() {
    for seed in seeds("strangers", 32) {
        let quiet = world(seed, lossy()).run();
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                let Some(id) = destination(passing.datagram) else { return };
                let from = stranger(meddle.random.word());
                let forged = noise(meddle.random, id);
                meddle.inject(ms(25), from, passing.to, forged);
                meddle.inject(ms(25), from, passing.to, control(id, Control::Shutdown));
                meddle.inject(ms(25), from, passing.to, passing.datagram.to_vec());
                // The right address at another port is a stranger as well.
                let neighbour = SocketAddr::new(passing.from.ip(), passing.from.port() + 1);
                meddle.inject(ms(25), neighbour, passing.to, control(id, Control::Shutdown));
            })
            .run();
        assert_undisturbed(&run);
        assert_eq!(run.digest, quiet.digest, "somebody answered a stranger, or listened to one");
        assert!(run.listener_stats.wrong_source > 1_000);
    }
}

#[test]
fn garbage_from_the_address_of_the_peer_for_nobody_is_dropped() {
    for seed in seeds("garbage", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                let mut garbage = vec![0; meddle.random.index(1_500)];
                meddle.random.fill(&mut garbage);
                meddle.inject(ms(20), passing.from, passing.to, garbage);
                let id = SocketId::new(meddle.random.word() | 1);
                let garbage = noise(meddle.random, id);
                meddle.inject(ms(20), passing.from, passing.to, garbage);
            })
            .run();
        assert_undisturbed(&run);
        assert!(run.listener_stats.unknown_destination > 1_000);
    }
}

#[test]
fn truncated_copies_of_what_was_sent_do_no_harm() {
    for seed in seeds("truncated", 32) {
        let run = world(seed, Link::rtt_ms(40))
            .meddle(|passing, meddle| {
                // A cut-off copy of a data packet comes after the packet itself, and is a duplicate.
                let len = meddle.random.index(passing.datagram.len());
                let after = ms(20) + Micros::from_micros(1);
                meddle.inject(after, passing.from, passing.to, passing.datagram[..len].to_vec());
            })
            .run();
        assert_undisturbed(&run);
        run.assert(check::nothing_lost);
    }
}

#[test]
fn flipped_bits_end_in_nothing_worse_than_a_broken_stream() {
    for seed in seeds("bit flips", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                let mut copy = passing.datagram.to_vec();
                for _ in 0..=meddle.random.index(3) {
                    let bit = meddle.random.index(copy.len().min(48) * 8);
                    copy[bit / 8] ^= 1 << (bit % 8);
                }
                let after = meddle.random.index(40_000) as u64;
                meddle.inject(Micros::from_micros(after), passing.from, passing.to, copy);
            })
            .run();
        assert_survived(&run);
    }
}

#[test]
fn noise_with_the_right_address_and_socket_id_ends_in_nothing_worse_than_a_broken_stream() {
    for seed in seeds("noise", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                if passing.number < 40 {
                    return; // let it begin
                }
                let Some(id) = destination(passing.datagram) else { return };
                for _ in 0..4 {
                    let forged = noise(meddle.random, id);
                    if !matches!(
                        Packet::parse(&forged),
                        Ok(Packet::Control(ControlPacket { control: Control::Shutdown, .. }))
                    ) {
                        meddle.inject(ms(20), passing.from, passing.to, forged);
                    }
                }
            })
            .run();
        assert_survived(&run);
    }
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_not_believed() {
    for seed in seeds("forged ACK", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                // To the sender of each data packet: all up to far beyond it is acknowledged.
                let Ok(Packet::Data(packet)) = Packet::parse(passing.datagram) else { return };
                let Some(id) = passing.sender_id else { return };
                for ahead in [500, 100_000, 1 << 29] {
                    for detail in [AckDetail::Light, full_ack()] {
                        let number = if detail == AckDetail::Light { 0 } else { 7_777 };
                        let ack = Ack { number, next: packet.header.seq + ahead, detail };
                        meddle.inject(ms(1), passing.to, passing.from, control(id, Control::Ack(ack)));
                    }
                }
            })
            .run();
        assert_undisturbed(&run);
    }
}

fn full_ack() -> AckDetail {
    AckDetail::Full {
        rtt_us: 1,
        rtt_var_us: 0,
        available_packets: u32::MAX,
        receive_rate_pps: u32::MAX,
        link_capacity_pps: u32::MAX,
        receive_rate_bps: u32::MAX,
    }
}

#[test]
fn acknowledgements_of_acknowledgements_never_sent_move_no_clock() {
    for seed in seeds("forged ACKACK", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                let Some(id) = destination(passing.datagram).filter(|id| !id.is_handshake()) else { return };
                for number in [0, 1, 2, meddle.random.word(), u32::MAX] {
                    let forged = control(id, Control::AckAck { number });
                    // Old numbers are forgotten, future ones are not given out yet.
                    if passing.at_us > 500_000 {
                        meddle.inject(ms(20), passing.from, passing.to, forged);
                    }
                }
            })
            .run();
        assert_undisturbed(&run);
    }
}

#[test]
fn handshakes_into_a_running_stream_are_not_believed() {
    for seed in seeds("forged handshakes", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                let (Some(theirs), Some(ours)) = (destination(passing.datagram), passing.sender_id) else {
                    return;
                };
                if theirs.is_handshake() || passing.kind == Kind::Handshake {
                    return;
                }
                for kind in [
                    HandshakeKind::Induction,
                    HandshakeKind::Conclusion,
                    HandshakeKind::Agreement,
                    HandshakeKind::WaveAHand,
                    HandshakeKind::Rejection(RejectReason::Close),
                    HandshakeKind::Other(77),
                ] {
                    let forged = Handshake {
                        version: 5,
                        encryption: 0,
                        extension_field: MAGIC,
                        isn: SeqNumber::new(meddle.random.word()),
                        mtu: meddle.random.word(),
                        flow_window: meddle.random.word(),
                        kind,
                        socket_id: ours,
                        cookie: meddle.random.word(),
                        peer_ip: passing.from.ip(),
                        extensions: Extensions::List(&[]),
                    };
                    for to in [theirs, SocketId::HANDSHAKE] {
                        meddle.inject(
                            ms(20),
                            passing.from,
                            passing.to,
                            control(to, Control::Handshake(forged)),
                        );
                    }
                }
            })
            .run();
        assert_undisturbed(&run);
        assert_eq!((run.incoming, run.accepted.len()), (1, 1));
        assert!(run.listener_stats.wrong_cookie > 100);
    }
}

#[test]
fn a_stranger_cannot_reject_a_caller_nor_answer_it() {
    for seed in seeds("forged answers", 32) {
        let run = world(seed, Link::rtt_ms(40))
            .meddle(|passing, meddle| {
                let Ok(Packet::Control(ControlPacket { control: Control::Handshake(asked), .. })) =
                    Packet::parse(passing.datagram)
                else {
                    return;
                };
                if passing.way == Way::ToCaller {
                    return;
                }
                for kind in [
                    HandshakeKind::Rejection(RejectReason::Peer),
                    HandshakeKind::Induction,
                    HandshakeKind::Conclusion,
                ] {
                    let forged = Handshake { kind, cookie: 1, version: 5, extension_field: MAGIC, ..asked };
                    let forged = control(asked.socket_id, Control::Handshake(forged));
                    meddle.inject(ms(1), stranger(1), passing.from, forged);
                }
            })
            .run();
        assert_undisturbed(&run);
        run.assert(check::nothing_lost);
    }
}

#[test]
fn a_flood_of_inductions_leaves_a_stream_alone() {
    for seed in seeds("induction flood", 32) {
        let run = world(seed, Link::rtt_ms(40))
            .meddle(|passing, meddle| {
                if passing.number != 0 || passing.way == Way::ToCaller {
                    return;
                }
                // 20,000 in three seconds, each from somebody else: copies of the caller's own.
                for number in 0..20_000_u32 {
                    let after = Micros::from_micros(u64::from(number) * 150);
                    meddle.inject(after, stranger(number), listener_address(), passing.datagram.to_vec());
                }
            })
            .run();
        assert_undisturbed(&run);
        run.assert(check::nothing_lost);
        assert_eq!((run.incoming, run.accepted.len()), (1, 1));
        assert!(run.listener_stats.inductions > 20_000);
        assert!(run.astray > 19_000, "{} answers", run.astray);
    }
}

#[test]
fn a_peer_that_reports_everything_lost_all_the_time_gets_each_packet_once_a_round_trip_at_most() {
    for seed in seeds("NAK storm", 32) {
        let run = Sim::new(seed, caller(latency_ms(400)), Link::rtt_ms(50), listener(latency_ms(400)))
            .offer_live(mbps(2), secs(4))
            .meddle(|passing, meddle| {
                let Ok(Packet::Data(packet)) = Packet::parse(passing.datagram) else { return };
                let Some(id) = passing.sender_id.filter(|_| !packet.header.retransmitted) else { return };
                let range = [(packet.header.seq - 70, packet.header.seq)];
                let report = control(id, Control::Nak(LossReport::Ranges(&range)));
                meddle.inject(ms(1), passing.to, passing.from, report);
            })
            .run();
        run.assert(check::all).assert(check::nothing_lost).assert(check::closed_in_order);
        // A packet stays in the buffer until it is acknowledged, 60 to 80 ms after it left: twice at most, and the second copies.
        let share = run.path().there.retransmitted_share();
        assert!(share < 3.0, "{share} resends of each packet");
    }
}

#[test]
fn reports_of_losses_that_cannot_be_are_passed_over() {
    for seed in seeds("forged NAK", 32) {
        let run = world(seed, lossy())
            .meddle(|passing, meddle| {
                let Ok(Packet::Data(packet)) = Packet::parse(passing.datagram) else { return };
                let Some(id) = passing.sender_id else { return };
                let seq = packet.header.seq;
                for range in
                    [(seq + 1_000, seq + 2_000), (seq - 30_000, seq - 20_000), (seq + 1, seq + (1 << 29))]
                {
                    let report = control(id, Control::Nak(LossReport::Ranges(&[range])));
                    meddle.inject(ms(1), passing.to, passing.from, report);
                }
            })
            .run();
        assert_undisturbed(&run);
        let share = run.path().there.retransmitted_share();
        assert!(share < 0.2, "{share} resent");
    }
}

#[test]
fn a_peer_that_scatters_its_numbers_fills_its_own_window_and_no_more() {
    for seed in seeds("scattered numbers", 32) {
        let small = with(with(latency_ms(300), "fc", "512"), "rcvbuf", "700000");
        let run = Sim::new(seed, caller(latency_ms(300)), Link::rtt_ms(40), listener(small))
            .offer_live(mbps(2), secs(3))
            .meddle(|passing, meddle| {
                let Ok(Packet::Data(packet)) = Packet::parse(passing.datagram) else { return };
                let payload = [0xA5; 1_456];
                for _ in 0..4 {
                    let far = meddle.random.word() >> meddle.random.index(32);
                    let forged = data(packet.header.destination, packet.header.seq + far, &payload);
                    meddle.inject(ms(20), passing.from, passing.to, forged);
                }
            })
            .run();
        assert_survived(&run);
    }
}

#[test]
fn a_payload_longer_than_the_mss_is_not_kept() {
    for seed in seeds("long payload", 32) {
        let run = Sim::new(seed, caller(latency_ms(300)), Link::rtt_ms(40), listener(latency_ms(300)))
            .offer_live(mbps(1), secs(2))
            .meddle(|passing, meddle| {
                let Ok(Packet::Data(packet)) = Packet::parse(passing.datagram) else { return };
                for len in [0, 1_457, 9_000, 65_000] {
                    let forged = data(packet.header.destination, packet.header.seq + 1, &vec![1; len]);
                    meddle.inject(ms(20), passing.from, passing.to, forged);
                }
            })
            .run();
        assert_survived(&run);
        run.assert(check::payload_intact).assert(check::nothing_lost);
    }
}

// ---- straight at the endpoint --------------------------------------------------------------------------------

const NOW: Instant = Instant::from_micros(1_000_000_000);

fn handshake(kind: HandshakeKind, socket_id: SocketId, cookie: u32) -> Vec<u8> {
    let handshake = Handshake {
        version: 4,
        encryption: 0,
        extension_field: 2,
        isn: SeqNumber::new(1),
        mtu: 1_500,
        flow_window: 8_192,
        kind,
        socket_id,
        cookie,
        peer_ip: Ipv4Addr::LOCALHOST.into(),
        extensions: Extensions::List(&[]),
    };
    control(SocketId::HANDSHAKE, Control::Handshake(handshake))
}

fn answers(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let mut batch = TransmitBatch::default();
    let mut answers = Vec::new();
    while endpoint.poll_transmit(&mut batch).is_some() {
        answers.push(batch.bytes().to_vec());
    }
    answers
}

/// An endpoint that listens, and the conclusion of a caller at `from` that it has not seen yet.
fn listening(seed: u64, from: SocketAddr, backlog: usize) -> (Endpoint, Vec<u8>, Connection) {
    let mut endpoint = Endpoint::new(u128::from(seed).to_le_bytes(), Arc::new(entropy::Nothing));
    endpoint.listen(latency_ms(120), backlog);
    let setup = CallerSetup {
        config: with(latency_ms(120), "streamid", "#!::r=live"),
        peer: listener_address(),
        local_ip: None,
        id: SocketId::new(0x1234),
        isn: SeqNumber::new(77),
        entropy: Arc::new(entropy::Nothing),
    };
    let mut connection = Connection::connect(NOW, setup);
    let mut batch = TransmitBatch::default();
    assert!(connection.poll_transmit(NOW, &mut batch).is_some());
    assert_eq!(endpoint.handle_datagram(NOW, from, None, batch.bytes()), Route::Handled);
    connection.handle_datagram(NOW, &answers(&mut endpoint)[0]);
    assert!(connection.poll_transmit(NOW, &mut batch).is_some());
    (endpoint, batch.bytes().to_vec(), connection)
}

#[test]
fn answers_nobody_fetches_do_not_pile_up() {
    let mut endpoint = Endpoint::new([3; 16], Arc::new(entropy::Nothing));
    endpoint.listen(latency_ms(120), 8);
    for number in 0..100_000 {
        let induction = handshake(HandshakeKind::Induction, SocketId::new(number | 1), 0);
        endpoint.handle_datagram(NOW, stranger(number), None, &induction);
    }
    assert!(endpoint.poll_incoming().is_none());
    let waiting = answers(&mut endpoint).len();
    assert!(waiting <= 1_024, "{waiting} answers wait");
    assert_eq!(endpoint.stats().inductions, 100_000);
    assert_eq!(endpoint.stats().answers_dropped, 100_000 - waiting as u64);
}

#[test]
fn conclusions_without_a_good_cookie_leave_no_trace() {
    for seed in seeds("bad cookies", 1) {
        let mut random = Random::new(seed, "cookies");
        let mut endpoint = Endpoint::new([5; 16], Arc::new(entropy::Nothing));
        endpoint.listen(latency_ms(120), 8);
        for number in 0..100_000 {
            let conclusion = handshake(HandshakeKind::Conclusion, SocketId::new(number | 1), random.word());
            assert_eq!(endpoint.handle_datagram(NOW, stranger(7), None, &conclusion), Route::Dropped);
        }
        assert!(endpoint.poll_incoming().is_none());
        assert!(answers(&mut endpoint).is_empty() && endpoint.next_timeout().is_none());
        assert_eq!(endpoint.stats().wrong_cookie, 100_000);
    }
}

#[test]
fn one_address_with_many_sockets_fills_the_backlog_and_no_more() {
    for seed in seeds("many sockets", 1) {
        let from = caller_address(0);
        let (mut endpoint, conclusion, _) = listening(seed, from, 10);
        let mut rejections = 0;
        for id in 1..=20_000_u32 {
            let mut conclusion = conclusion.clone();
            conclusion[40..44].copy_from_slice(&id.to_be_bytes()); // socket ID: word 6 of the CIF
            endpoint.handle_datagram(NOW, from, None, &conclusion);
            rejections += answers(&mut endpoint).len();
        }
        let incoming: Vec<_> = std::iter::from_fn(|| endpoint.poll_incoming()).collect();
        assert_eq!((incoming.len(), rejections), (10, 19_990));
        assert_eq!(endpoint.stats().backlog_full, 19_990);
        // Those that wait are forgotten when they do not ask again.
        let later = NOW + Micros::from_secs(60);
        endpoint.handle_timeout(later);
        assert!(endpoint.next_timeout().is_none());
        assert!(endpoint.accept(later, &incoming[0], latency_ms(120), SocketId::new(5)).is_err());
    }
}

#[test]
fn a_mutated_conclusion_is_taken_or_refused_but_breaks_nothing() {
    for seed in seeds("mutated conclusions", 32) {
        let mut random = Random::new(seed, "mutations");
        let from = caller_address(0);
        let (mut endpoint, conclusion, _) = listening(seed, from, 4);
        let (mut taken, mut refused) = (0, 0);
        for number in 0..10_000_u32 {
            let mutated = mutate(&mut random, &conclusion, 44..48); // all but the cookie
            match endpoint.handle_datagram(NOW, from, None, &mutated) {
                Route::Connection(id) => panic!("a handshake was routed to {id}"),
                Route::Dropped => refused += 1,
                _ => {}
            }
            while let Some(incoming) = endpoint.poll_incoming() {
                let id = SocketId::new(0x100_0000 + number);
                if let Ok(mut connection) = endpoint.accept(NOW, &incoming, latency_ms(120), id) {
                    taken += 1;
                    let later = NOW + ms(300);
                    connection.handle_timeout(later);
                    let _ = connection.poll_transmit(later, &mut TransmitBatch::default());
                    endpoint.remove(id);
                }
            }
            answers(&mut endpoint);
        }
        assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
        assert_eq!(endpoint.connections(), 0);
    }
}

#[test]
fn a_mutated_answer_connects_or_rejects_but_breaks_nothing() {
    for seed in seeds("mutated answers", 32) {
        let mut random = Random::new(seed, "mutations");
        let from = caller_address(0);
        let (mut endpoint, conclusion, _) = listening(seed, from, 4);
        endpoint.handle_datagram(NOW, from, None, &conclusion);
        let incoming = endpoint.poll_incoming().unwrap();
        endpoint.accept(NOW, &incoming, latency_ms(120), SocketId::new(9)).unwrap();
        let answer = answers(&mut endpoint).pop().unwrap();
        let (mut connected, mut rejected) = (0, 0);
        for _ in 0..5_000 {
            let (_, _, mut caller) = listening(seed, from, 4);
            caller.handle_datagram(NOW, &mutate(&mut random, &answer, 0..0));
            connected += u32::from(caller.negotiated().is_some());
            rejected += u32::from(matches!(caller.close_reason(), Some(ConnectionError::Rejected(_))));
            let later = NOW + secs(1);
            caller.handle_timeout(later);
            let _ = caller.poll_transmit(later, &mut TransmitBatch::default());
        }
        assert!(connected > 100 && rejected > 100, "{connected} connected, {rejected} rejected");
    }
}

/// Changes one to eight bytes outside of `keep`, and cuts the end off now and then.
fn mutate(random: &mut Random, datagram: &[u8], keep: std::ops::Range<usize>) -> Vec<u8> {
    let mut mutated = datagram.to_vec();
    for _ in 0..=random.index(8) {
        let at = random.index(mutated.len());
        // The first words say that it is a handshake, and for whom: those are left alone as well.
        if at >= 16 && !keep.contains(&at) {
            mutated[at] = [0, 1, 0xFF, random.bits().to_le_bytes()[0]][random.index(4)];
        }
    }
    if random.word() & 7 == 0 {
        mutated.truncate(random.index(mutated.len() + 1));
    }
    mutated
}

#[test]
fn a_flood_of_callers_leaves_the_accepted_ones_alone() {
    for seed in seeds("flood of callers", 6) {
        let run = Sim::new(
            seed,
            caller(latency_ms(200)),
            Link::rtt_ms(30).jitter_ms(5).loss(0.01),
            listener(latency_ms(200)).backlog(300),
        )
        .callers(300)
        .offer_live(kbps(100), secs(2))
        .run();
        run.assert(check::all).assert(check::closed_in_order);
        assert_eq!(run.accepted.len(), 300);
    }
}
